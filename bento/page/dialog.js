// The one dialog of the page: opens it with some content, and gives the focus back when it closes.

import { at, iconButton, make } from "./dom.js";

let arrows = () => {};

// `step(-1 | 1)` answers the arrow keys; `back` gets the focus when the dialog closes.
export function openDialog(title, content, back, step = () => {}) {
  arrows = step;
  const close = iconButton("wrong", "Close", () => closeDialog());
  close.classList.add("close");
  at("dialog").replaceChildren(make("h2", { id: "dialog-title" }, title), close, ...content);
  at("dialog").onclose = () => back()?.focus();
  if (!at("dialog").open) at("dialog").showModal();
  close.focus();
}

// `then` is done instead of giving the focus back.
export function closeDialog(then) {
  if (then) at("dialog").onclose = then;
  at("dialog").close();
}

export function listen() {
  at("dialog").addEventListener("click", (event) => {
    if (event.target === at("dialog")) closeDialog(); // the backdrop
  });
  at("dialog").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) arrows(step);
  });
}
