// Shows an answer: hits or comparison, imagined pictures, notices and pages.

import { mostPages } from "./address.js";
import { at, number } from "./dom.js";
import { showBalance } from "./balance.js";
import { showCompared } from "./compare.js";
import { answering } from "./feedback.js";
import { ranksOf, showHits } from "./hits.js";
import { showImagined } from "./imagined.js";
import { say, showConfidence, showNotices } from "./notices.js";
import { go, keep, state } from "./state.js";

let text = null; // the answer by text alone, to compare with
let fused = null;

export const forget = () => { text = fused = null; };

function showPages(answer) {
  const pages = Math.max(1, Math.min(Math.ceil(answer.total / state.k), mostPages(state)));
  at("pages").hidden = pages === 1 && state.page === 1;
  at("page").textContent = `Page ${number(state.page)} of ${number(pages)}`;
  at("before").disabled = state.page <= 1;
  at("after").disabled = state.page >= pages;
}

function showEither(answer, final) {
  const before = text && final && answer.mode !== "text" ? text : null;
  const compared = Boolean(before && state.compare);
  at("columns").hidden = !compared;
  at("hits").hidden = compared;
  at("compare").hidden = !before;
  if (compared) showCompared(before, answer);
  else showHits(answer, before && ranksOf(before));
}

function show(answer, final, subject) {
  answering(answer.request, subject);
  at("answer").hidden = false;
  at("answer").classList.remove("stale");
  showEither(answer, final);
  showPages(answer);
}

// The first answer, by words. `quiet`: what is shown is newer.
export function showText(answer, quiet) {
  text = answer;
  if (quiet) return;
  at("confidence").replaceChildren();
  at("seems").hidden = true;
  at("hits").classList.remove("faint");
  showNotices(answer, () => {});
  show(answer, false, answer.query);
  at("balance").hidden = true;
}

export function showFused(answer, seconds, again) {
  fused = answer;
  show(answer, true, answer.query);
  showImagined(answer);
  showBalance(answer);
  showNotices(answer, again);
  showConfidence(answer);
  const how = answer.known ? "a known category"
    : answer.mode === "text" ? "ranked by words alone" : "no category, so it was imagined";
  const none = answer.hits.length ? `${number(answer.hits.length)} of ${number(answer.total)} pictures` : "No pictures";
  say(`${none} for “${answer.query}”: ${how}, in ${seconds.toFixed(2)} s.`);
}

export function showSimilar(answer, seconds) {
  forget();
  const similar = { ...answer, lambda: 1, mode: "text", imagined: [] };
  show(similar, true, state.like || "a picture");
  showImagined(similar);
  showBalance(similar);
  showNotices(similar);
  showConfidence(similar);
  say(`The ${number(answer.hits.length)} most similar of ${number(answer.total)} pictures, in ${seconds.toFixed(2)} s.`);
}

function turn(step) {
  go({ page: state.page + step });
  at("answer").scrollIntoView();
}

export function listen() {
  at("before").addEventListener("click", () => turn(-1));
  at("after").addEventListener("click", () => turn(1));
  at("compare").addEventListener("click", () => {
    keep({ compare: !state.compare });
    at("compare").setAttribute("aria-pressed", String(state.compare));
    if (fused) showEither(fused, true);
  });
}
