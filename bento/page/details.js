// The details of one hit: large, with its scores, its metadata and where it comes from.

import { bar, button, icon, make, number } from "./dom.js";
import { closeDialog, openDialog } from "./dialog.js";
import { markButtons } from "./feedback.js";
import { bundle } from "./lineage.js";
import { picture } from "./picture.js";
import { like } from "./state.js";
import { carryKey, open } from "./tab.js";

const SCORES = [
  ["fused", "score", "fused score: what ranks"],
  ["text", "text_score", "words: how near the text is, as CLIP sees it"],
  ["image", "image_score", "imagination: how near the imagined pictures are"],
  ["hubness", "hubness", "hubness: how near it is to every query, subtracted"],
];

export function facts(rows) {
  const filled = rows.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return make("dl", {}, ...filled.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function scores(hit) {
  return make("ul", { className: "scores" }, ...SCORES.map(([kind, field, said]) =>
    make("li", {}, make("span", {}, said), make("span", { className: "value" }, hit[field].toFixed(3)), bar(kind, hit[field]))));
}

// An address beside the one of the thumbnail, with the original picture.
function original(address) {
  const url = new URL(address, document.baseURI);
  url.searchParams.set("original", "1");
  return url.href;
}

function links(hit) {
  const more = Object.entries(bundle().links ?? {}).map(([name, url]) =>
    make("a", { href: url, rel: "noopener" }, name === "mlflow" ? "The bundle in MLflow" : name));
  const large = bundle().originals
    ? [button({}, () => open(original(hit.picture)), icon("picture"), "Open the original")] : [];
  return make("p", { className: "actions" },
    button({ className: "go" }, () => { closeDialog(); like(hit.id); }, icon("similar"), "More like this"),
    ...large, carryKey(make("a", { href: "bundle" }, "The bundle’s lineage as JSON")), ...more);
}

// Open the details of `hit`; `card` is its place in the list, where the focus goes back to.
export function showHit(hit, answer, card) {
  const { version, digest } = answer.bundle;
  const marks = markButtons(hit.id, () => `picture ${hit.rank}, ${hit.category},`);
  const content = make("div", { className: "details" },
    make("div", { className: "large" }, picture(hit.picture, `Picture of ${hit.category}`)),
    make("div", {},
      make("p", { className: "place" }, `Rank ${number(hit.rank)} of ${number(answer.total)}`, marks),
      scores(hit),
      facts([
        ["original name", hit.source],
        ["in the bundle", hit.id],
        ["split", hit.split],
        ...Object.entries(hit.metadata),
        ["near-duplicates", hit.count > 1 ? `stands for ${hit.count}` : ""],
        ["bundle", `version ${version} (${digest})`],
        ["dataset", bundle().dataset?.dvc],
        ...Object.entries(answer.models),
      ]),
      links(hit)));
  openDialog(hit.category, [content], () => {
    card.querySelector(".marks")?.show();
    return card.querySelector("button");
  }, (step) => {
    const next = step > 0 ? card.nextElementSibling : card.previousElementSibling;
    next?.querySelector("button").click();
  });
}
