// The marks right and wrong on a picture, sent with the answer that it was in.

import { post } from "./api.js";
import { iconButton, make } from "./dom.js";
import { say } from "./notices.js";

const marks = new Map(); // by subject and id: another answer to the same words keeps them
let answer = { request: "", subject: "" };

export function answering(request, subject) {
  answer = { request, subject };
}

const named = (id) => `${answer.subject}\n${id}`;

// Two buttons for the picture `id`, which is called `label()` now. `show` brings them up to date. The
// last mark of a picture counts.
export function markButtons(id, label) {
  const box = make("span", { className: "marks", role: "group" });
  const both = [true, false].map((right) => {
    const name = right ? "right" : "wrong";
    const node = iconButton(name, right ? "Right: this is what I asked for" : "Wrong: this is not what I asked for", () => mark(right));
    node.classList.add(name);
    return node;
  });
  box.append(...both);
  box.show = () => {
    box.setAttribute("aria-label", `Is ${label()} what you asked for?`);
    [true, false].forEach((right, i) => both[i].setAttribute("aria-pressed", String(marks.get(named(id)) === right)));
  };
  const mark = async (right) => {
    const name = named(id);
    const before = marks.get(name);
    marks.set(name, right);
    box.show();
    try {
      await post("feedback", { request: answer.request, id, right });
      say(`Thank you: ${label()} is marked as ${right ? "right" : "wrong"}.`);
    } catch (error) {
      if (before === undefined) marks.delete(name);
      else marks.set(name, before);
      box.show();
      say(`The mark could not be kept: ${error.message}`);
    }
  };
  box.show();
  return box;
}
