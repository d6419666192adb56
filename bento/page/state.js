// What is searched now. Every part of the page reads it here, and changes it by `go` alone.

import { DEFAULTS, read, write } from "./address.js";

export const state = { ...DEFAULTS };
const pictures = []; // pictures of the person's own: the history holds their number, no address can
const visit = performance.timeOrigin; // a reload loses the pictures, and begins with other numbers
let search = () => {};

// `search(quiet)` answers every change.
export function onChange(answer) {
  search = answer;
  addEventListener("popstate", restore);
}

export const ownPicture = () => (history.state?.visit === visit ? pictures[history.state.picture] : null);

// Whether this was a search by a picture of the person's own that the page no longer has.
export const isPictureGone = () => Boolean(history.state) && !ownPicture();

// Take the search from the address.
export const recall = () => Object.assign(state, read(location.search));

function restore() {
  recall();
  search(false);
}

// Change how an answer is shown. Nothing is asked again.
export function keep(changes) {
  Object.assign(state, changes);
  history.pushState(history.state, "", write(state));
}

// Change the search. `quiet`: what is shown stays until the new answer has come; `replace`: no new
// step in the history; `picture`: search by this file.
export function go(changes, { quiet = false, replace = false, picture = null } = {}) {
  Object.assign(state, changes);
  const other = "q" in changes; // another subject, no longer the picture
  const kept = picture ? { visit, picture: pictures.push(picture) - 1 } : other ? null : history.state;
  history[replace ? "replaceState" : "pushState"](kept, "", write(state));
  search(quiet);
}

// Search for pictures like the one of the gallery with this id.
export const like = (id) => go({ ...newWords(""), like: id });

// Other words are another search: what was dropped or drawn for the old ones does not count.
export const newWords = (q) => ({ q, like: "", page: 1, drop: [], images: null, seed: null, kind: "class", description: "" });
