// The slider for λ: how much the imagined pictures count against the words. The ranking follows it.

import { at } from "./dom.js";
import { bundle } from "./lineage.js";
import { go, state } from "./state.js";

const REST = 160; // milliseconds without a movement before the service is asked again
let waiting = 0;

const usual = () => bundle().lambda ?? 0.5;

function label(value) {
  at("lambda").textContent = `λ = ${Number(value).toFixed(2)}`;
  at("weight").setAttribute("aria-valuetext", `${Math.round(100 * value)} percent imagination`);
}

export function showBalance(answer) {
  at("balance").hidden = !answer.imagined?.some((one) => one.kept) || answer.mode !== "fused";
  if (!waiting) at("weight").value = state.weight ?? answer.lambda ?? usual();
  label(at("weight").value);
  at("default-weight").firstElementChild.value = usual();
  at("reset-weight").hidden = state.weight === null;
}

export function listen() {
  at("weight").addEventListener("input", () => {
    label(at("weight").value);
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      waiting = 0;
      go({ weight: Number(at("weight").value), page: 1 }, { quiet: true, replace: true });
    }, REST);
  });
  at("reset-weight").addEventListener("click", () => {
    go({ weight: null, page: 1 }, { quiet: true, replace: true });
    at("weight").focus();
  });
}
