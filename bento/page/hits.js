// The ranked pictures as cards. A card stays the same node while its picture is in the answer, so
// that it can be seen to move.

import { at, button, iconButton, make, number } from "./dom.js";
import { showHit } from "./details.js";
import { markButtons } from "./feedback.js";
import { rearrange } from "./flip.js";
import { roving } from "./keyboard.js";
import { picture } from "./picture.js";
import { like, state } from "./state.js";

let cards = new Map();

// The rank by id, on the page that is loaded.
export const ranksOf = (answer) => new Map(answer.hits.map((hit) => [hit.id, hit.rank]));

// Where a picture comes from that is not among the loaded ranks `before`.
function fromBeyond(before) {
  if (state.group) return ["new", "new", "new"]; // its group may have had another picture
  if (state.page > 1) return ["new", "moved", "from another page"];
  return ["new", `↑ from ${before.size + 1}+`, `up from beyond ${before.size}`];
}

// How far a picture moved from `before` (ranks by id) to its rank.
export function moveOf(hit, before) {
  const old = before.get(hit.id);
  const steps = old - hit.rank;
  const [kind, text, said] = old === undefined ? fromBeyond(before)
    : steps > 0 ? ["up", `↑${steps}`, `up ${steps}`]
      : steps < 0 ? ["down", `↓${-steps}`, `down ${-steps}`] : ["same", "", ""];
  return make("span", { className: `move ${kind}`, title: said && `${said}, against words alone` },
    make("span", { aria: { hidden: "true" } }, text), make("span", { className: "hidden" }, said));
}

// The parts of the fused score, one after the other.
function score(hit, lambda) {
  const [text, image] = [(1 - lambda) * hit.text_score, lambda * hit.image_score];
  const parts = [["text", text], ["image", image]].map(([kind, value]) => {
    const part = make("b", { className: kind });
    part.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
    return part;
  });
  const said = `score ${hit.score.toFixed(2)}: words ${text.toFixed(2)}, imagination ${image.toFixed(2)}`
    + (hit.hubness ? `, hubness −${hit.hubness.toFixed(2)}` : "");
  const node = make("i", { className: "bar", role: "img", title: said, aria: { label: said } }, ...parts);
  return node;
}

function card(id) {
  const node = make("li", { className: "card" });
  node.dataset.id = id;
  const shown = { hit: null };
  const image = make("span", { className: "frame" });
  const count = make("span", { className: "count" });
  const opener = button({ className: "open" }, () => showHit(shown.hit, shown.answer, node), image, count);
  const name = make("p", { className: "name" });
  const source = make("p", { className: "source" });
  const bars = make("div", { className: "score" });
  const acts = make("div", { className: "acts" });
  node.append(opener, name, source, bars, acts);
  node.update = (hit, answer, before) => {
    const first = !shown.hit;
    Object.assign(shown, { hit, answer });
    if (first) {
      image.append(picture(hit.picture, ""));
      acts.append(markButtons(hit.id, () => `picture ${shown.hit.rank}, ${shown.hit.category},`),
        iconButton("similar", "More like this", () => like(shown.hit.id)));
    }
    opener.setAttribute("aria-label", `${hit.rank}. ${hit.category}: open`);
    name.replaceChildren(make("span", { className: "rank" }, number(hit.rank)),
      make("span", { className: "category", title: hit.id }, hit.category), ...(before ? [moveOf(hit, before)] : []));
    source.textContent = source.title = hit.source;
    source.hidden = !hit.source;
    count.textContent = `×${hit.count}`;
    count.title = `stands for ${hit.count} near-duplicates`;
    count.hidden = hit.count < 2;
    bars.replaceChildren(score(hit, answer.lambda));
    acts.querySelector(".marks").show();
  };
  return node;
}

// Show the hits of `answer`; `before`: the ranks by text alone, to show how they moved.
export function showHits(answer, before) {
  const kept = new Map(answer.hits.map((hit) => [hit.id, cards.get(hit.id) ?? card(hit.id)]));
  for (const hit of answer.hits) kept.get(hit.id).update(hit, answer, before);
  cards = kept;
  rearrange(at("hits"), [...kept.values()]);
  roving(at("hits"));
}

export function clearHits() {
  cards = new Map();
  at("hits").replaceChildren();
}
