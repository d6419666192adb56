// Text alone and fused side by side: a line leads from each picture's old rank to its new one.

import { at, button, calm, make } from "./dom.js";
import { showHit } from "./details.js";
import { moveOf, ranksOf } from "./hits.js";
import { picture } from "./picture.js";

const SVG = "http://www.w3.org/2000/svg";

function row(hit, answer, move) {
  const card = make("li", {}, button({ className: "open", aria: { label: `${hit.rank}. ${hit.category}: open` } },
    () => showHit(hit, answer, card),
    make("span", { className: "rank" }, String(hit.rank)), make("span", { className: "frame" }, picture(hit.picture, "")),
    make("span", { className: "category" }, hit.category), ...(move ? [move] : [])));
  card.dataset.id = hit.id;
  return card;
}

function lines(before, after, rows) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 100 ${rows}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const old = new Map(before.map((hit, i) => [hit.id, i]));
  after.forEach((hit, to) => {
    const from = old.get(hit.id);
    if (from === undefined) return;
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", `M0 ${from + 0.5} C50 ${from + 0.5} 50 ${to + 0.5} 100 ${to + 0.5}`);
    path.setAttribute("class", from > to ? "up" : from < to ? "down" : "same");
    path.setAttribute("pathLength", "1");
    path.dataset.id = hit.id;
    svg.append(path);
  });
  svg.classList.toggle("drawn", !calm());
  return svg;
}

const column = (title, rows) => make("section", { aria: { label: title } }, make("h3", {}, title), make("ol", {}, ...rows));

export function showCompared(text, fused) {
  const ranks = ranksOf(text);
  const rows = Math.max(text.hits.length, fused.hits.length, 1);
  at("columns").style.setProperty("--rows", rows);
  at("columns").replaceChildren(
    column("Words alone", text.hits.map((hit) => row(hit, text))),
    make("div", { className: "lines" }, lines(text.hits, fused.hits, rows)),
    column("With imagination", fused.hits.map((hit) => row(hit, fused, moveOf(hit, ranks)))));
}

// The same picture is lit on both sides.
function light(event) {
  const id = event.target.closest("[data-id]")?.dataset.id;
  for (const one of at("columns").querySelectorAll("[data-id]")) one.classList.toggle("lit", one.dataset.id === id);
}

export function listen() {
  at("columns").addEventListener("pointerover", light);
  at("columns").addEventListener("focusin", light);
  at("columns").addEventListener("pointerleave", light);
}
