// Everything by keyboard: `/` goes to the search, arrow keys move through the hits.

import { at } from "./dom.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const typing = (node) => node.matches("input, select, textarea");

// Only one card at a time is reached by Tab; arrow keys reach the others.
export function roving(list) {
  const cards = [...list.children];
  const now = cards.find((one) => one.contains(document.activeElement))
    ?? cards.find((one) => one.classList.contains("current")) ?? cards[0];
  for (const one of cards) {
    one.classList.toggle("current", one === now);
    for (const button of one.querySelectorAll("button")) button.tabIndex = one === now ? 0 : -1;
  }
}

function move(list, event) {
  const step = STEPS[event.key];
  const cards = [...list.children];
  const now = cards.findIndex((one) => one.contains(event.target));
  if (!step || now < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const top = cards[0].offsetTop;
  const wide = cards.findIndex((one) => one.offsetTop > top);
  const next = cards[now + step[0] + step[1] * (wide < 0 ? cards.length : wide)];
  next?.querySelector("button").focus();
  next?.scrollIntoView({ block: "nearest" });
}

export function listen() {
  at("hits").addEventListener("keydown", (event) => move(at("hits"), event));
  at("hits").addEventListener("focusin", () => roving(at("hits")));
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target) || at("dialog").open) return;
    event.preventDefault();
    at("query").focus();
    at("query").select();
  });
  at("query").addEventListener("keydown", (event) => {
    const first = at("hits").querySelector(".current button");
    if (event.key !== "ArrowDown" || !first?.checkVisibility()) return;
    event.preventDefault();
    first.focus();
  });
}
