// What the served bundle was made from, and the examples that it offers.

import { get } from "./api.js";
import { at, button, make, number } from "./dom.js";

let loaded = {};

export const bundle = () => loaded;

const NAMES = { mlflow: "MLflow" };

// Load it; `choose` searches for an example.
export async function loadBundle(choose) {
  loaded = await get("bundle");
  at("lineage").textContent = `bundle version ${loaded.version} (${loaded.digest}) · dataset `
    + `${loaded.dataset.dvc.slice(0, 12)} · ${number(loaded.dataset.pictures)} pictures · profile ${loaded.profile}`;
  at("links").replaceChildren(...Object.entries(loaded.links ?? {}).flatMap(([name, href]) =>
    [" · ", make("a", { href, rel: "noopener" }, NAMES[name] ?? name)]));
  at("examples").replaceChildren(...loaded.examples.map((text) => button({}, () => choose(text), text)));
  at("images").placeholder = `${loaded.images}, as usual`;
  return loaded;
}
