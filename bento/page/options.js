// Options and filters: their fields, and a chip for each that is not as usual.

import { get } from "./api.js";
import { at, button, icon, make, number } from "./dom.js";
import { go, ownPicture, state } from "./state.js";

const MODES = { text: "words alone", image: "imagination alone", fused: "words and imagination, always" };
const KINDS = { description: "by the bundle’s descriptions", both: "by name and descriptions" };
let categories = [];

const set = (changes) => go({ page: 1, ...changes });

const natural = (text) => (text.trim() === "" ? null : Math.trunc(Number(text)));

function chip(text, changes) {
  return make("li", {}, button({ className: "chip", aria: { label: `Remove ${text}` } }, () => set(changes), text, icon("wrong")));
}

function without(column, value) {
  const rest = (state.filter[column] ?? []).filter((one) => one !== value);
  const { [column]: _, ...others } = state.filter;
  return rest.length ? { ...others, [column]: rest } : others;
}

// Bring the fields and chips up to date with the search.
export function showOptions() {
  at("k").value = String(state.k);
  at("mode").value = state.mode;
  at("images").value = state.images ?? "";
  at("seed").value = state.seed ?? "";
  at("exclude").value = state.exclude;
  at("kind").value = state.kind;
  at("description").value = state.description;
  at("compare").setAttribute("aria-pressed", String(state.compare));
  at("group").setAttribute("aria-pressed", String(state.group));
  const chips = [];
  for (const [column, values] of Object.entries(state.filter)) {
    for (const one of values) chips.push(chip(`${column}: ${one}`, { filter: without(column, one) }));
  }
  if (!state.like && !ownPicture()) chips.push(...ofWords());
  at("chips").replaceChildren(...chips);
}

// The chips of what counts in a search by words alone.
function ofWords() {
  const chips = [];
  if (state.exclude) chips.push(chip(`not: ${state.exclude}`, { exclude: "" }));
  if (state.description) chips.push(chip(`that is: ${state.description}`, { description: "", drop: [] }));
  else if (state.kind !== "class") chips.push(chip(KINDS[state.kind], { kind: "class", drop: [] }));
  if (state.mode !== "auto") chips.push(chip(`ranked by ${MODES[state.mode]}`, { mode: "auto" }));
  if (state.images !== null) chips.push(chip(`${state.images} imagined pictures`, { images: null, drop: [] }));
  if (state.seed !== null) chips.push(chip(`seed ${state.seed}`, { seed: null, drop: [] }));
  return chips;
}

function suggest() {
  const column = at("column").value;
  const counts = new Map();
  for (const one of categories) {
    const value = one[column];
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + one.pictures);
  }
  at("values").replaceChildren(...[...counts].map(([value, n]) =>
    make("option", { value, label: `${value} (${number(n)})` })));
}

// Offer the gallery's columns, and the values of those that are known.
export async function offer(columns, described) {
  at("by-kind").hidden = !described;
  at("column").replaceChildren(...columns.map((one) => make("option", {}, one)));
  categories = (await get("categories")).categories;
  suggest();
}

function addFilter() {
  const [column, value] = [at("column").value, at("value").value.trim()];
  if (!value || !column) {
    at("value").focus();
    return;
  }
  at("value").value = "";
  set({ filter: { ...without(column, value), [column]: [...(state.filter[column] ?? []).filter((one) => one !== value), value] } });
}

export function listen() {
  at("k").addEventListener("change", () => set({ k: Number(at("k").value) }));
  at("mode").addEventListener("change", () => set({ mode: at("mode").value }));
  for (const name of ["images", "seed"]) {
    at(name).addEventListener("change", () => {
      if (at(name).reportValidity()) set({ [name]: natural(at(name).value), drop: [] });
    });
  }
  at("exclude").addEventListener("change", () => set({ exclude: at("exclude").value.trim() }));
  at("kind").addEventListener("change", () => set({ kind: at("kind").value, description: "", drop: [] }));
  at("description").addEventListener("change", () => set({ description: at("description").value.trim(), kind: "class", drop: [] }));
  at("column").addEventListener("change", suggest);
  at("add-filter").addEventListener("click", addFilter);
  at("value").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    addFilter();
  });
  at("group").addEventListener("click", () => set({ group: !state.group }));
}
