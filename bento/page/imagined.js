// The imagined pictures: dreams until they arrive, then what each was worth and what to do with it.

import { at, bar, button, icon, iconButton, make, percent } from "./dom.js";
import { closeDialog, openDialog } from "./dialog.js";
import { facts } from "./details.js";
import { MOST_IMAGES } from "./address.js";
import { markButtons } from "./feedback.js";
import { bundle } from "./lineage.js";
import { picture } from "./picture.js";
import { go, state } from "./state.js";

let items = new Map(); // by id

const dream = () => make("li", { className: "waiting", aria: { label: "not yet drawn" } }, make("span", { className: "dream" }));

const never = () => make("li", { className: "never" }, make("span", { className: "frame" }), make("p", { className: "worth" }, "not drawn"));

const leaveOut = (id) => go({ drop: [...state.drop, id] }, { quiet: true });
const useAgain = (id) => go({ drop: state.drop.filter((one) => one !== id) }, { quiet: true });

const full = () => items.size >= MOST_IMAGES;

function redraw(id) {
  go({ drop: [...state.drop, id], images: Math.min(MOST_IMAGES, (state.images ?? items.size) + 1) }, { quiet: true });
}

export const oneMore = () => go({ images: Math.min(MOST_IMAGES, (state.images ?? items.size) + 1) }, { quiet: true });
const seed = () => state.seed ?? bundle().generator?.seed ?? 0;
export const allAgain = () => go({ seed: (seed() + 1) % 2 ** 31, drop: [] });

function actions(one, wide) {
  const act = (name, label, done) => wide
    ? button({}, () => { closeDialog(); done(one.id); }, icon(name), label) : iconButton(name, label, () => done(one.id));
  if (state.drop.includes(one.id)) return [act("undo", "Use it again", useAgain)];
  const again = act("redraw", "Draw another instead", redraw);
  again.disabled = full();
  return one.kept ? [act("wrong", "Leave it out", leaveOut), again] : [again];
}

// A reason completes the words “this picture …”.
const why = (one) => one.why.replace(/^this picture /, "");
const reason = (one) => `Not used: this picture ${why(one)}.`;

function details(one, place, node) {
  openDialog(`Imagined picture ${place}`, [make("div", { className: "details" },
    make("div", { className: "large" }, picture(one.picture, `Imagined picture ${place}`)),
    make("div", {},
      make("p", { className: "place" }, one.why ? reason(one) : "Used to rank", markButtons(one.id, () => `imagined picture ${place}`)),
      facts([
        ["share of attention", one.weight === null ? "" : percent(one.weight)],
        ["agreement", one.agreement === null ? "" : `${one.agreement.toFixed(1)} standard deviations nearer to its text than to the categories’ names`],
        ["seed", String(one.seed)],
        ["address", one.id],
      ]),
      make("p", { className: "actions" }, ...actions(one, true),
        button({}, () => closeDialog(reword), icon("pen"), "Change the words"))))], () => node.querySelector("button"));
}

export function reword() {
  at("query").focus();
  at("query").select();
}

function item(one, place, most) {
  const node = items.get(one.id) ?? make("li", {}, button({ className: "open" }, () => node.details(),
    make("span", { className: "frame" }, picture(one.picture, ""))), make("div", { className: "worth" }));
  const worth = node.lastElementChild;
  const share = one.weight === null ? "" : percent(one.weight);
  node.details = () => details(one, place, node);
  node.className = one.kept ? "kept" : "left-out";
  node.firstElementChild.setAttribute("aria-label", `Imagined picture ${place}${share && `, share ${share}`}${one.kept ? "" : ", not used"}: details`);
  worth.replaceChildren(
    ...(share ? [bar("image", one.weight, most), make("span", { className: "value", title: "its share of the attention" }, share)] : []),
    ...(one.why ? [make("span", { className: "why", title: reason(one) }, why(one))] : []),
    make("span", { className: "acts" }, ...actions(one, false)));
  return node;
}

// Room for `count` pictures that will arrive.
export function expectPictures(count) {
  items = new Map();
  at("imagined").replaceChildren(...Array.from({ length: count }, dream));
}

// One more place, where a picture is drawn while the others stay.
export function expectMore(count) {
  for (const one of at("imagined").querySelectorAll(".never")) one.remove();
  const missing = count - at("imagined").children.length;
  at("imagined").append(...Array.from({ length: Math.max(0, missing) }, dream));
}

export function arrived(one) {
  if (items.has(one.id)) return;
  const node = item(one, items.size + 1, 1);
  items.set(one.id, node);
  const place = at("imagined").querySelector(".waiting");
  if (place) place.replaceWith(node);
  else at("imagined").append(node);
}

// What is still waited for never comes.
export function giveUp() {
  for (const one of at("imagined").querySelectorAll(".waiting")) one.replaceWith(never());
  at("imagination").hidden = !items.size;
}

// How many pictures were asked for and are not in the answer. A known category has its own number.
function missing(answer) {
  const own = answer.known && state.images === null && state.seed === null;
  return own ? 0 : Math.max(0, (state.images ?? bundle().images ?? 0) - answer.imagined.length);
}

// All imagined pictures of an answer, with their shares.
export function showImagined(answer) {
  const most = Math.max(...answer.imagined.map((one) => one.weight ?? 0), 0.01);
  const focused = at("imagined").contains(document.activeElement);
  const nodes = answer.imagined.map((one, i) => [one.id, item(one, i + 1, most)]);
  items = new Map(nodes);
  at("imagined").replaceChildren(...items.values(), ...Array.from({ length: missing(answer) }, never));
  if (focused) at("imagined").querySelector("button")?.focus();
  at("one-more").disabled = full();
  at("imagination").hidden = answer.mode === "text" && !answer.imagined.length;
}

export const arrivedCount = () => items.size;
