// Runs a search, and shows what comes as it comes. A newer search ends the older one.

import { body, form } from "./address.js";
import { forget, showFused, showSimilar, showText } from "./answer.js";
import { Refusal, post } from "./api.js";
import { at } from "./dom.js";
import { clearHits } from "./hits.js";
import { arrived, arrivedCount, expectMore, expectPictures, giveUp } from "./imagined.js";
import { bundle } from "./lineage.js";
import { clearError, refused, say, showError } from "./notices.js";
import { ownPicture, state } from "./state.js";
import { events } from "./stream.js";

const PATIENCE = "Still imagining: drawing takes a while here. The words have answered already.";
const SLOW = 5000; // milliseconds without a picture before the page says that it takes long
let running = new AbortController();

export function stop() {
  running.abort();
  running = new AbortController();
  return running.signal;
}

function progress(count) {
  const done = Math.min(arrivedCount(), count);
  say(`Ranked by words. Imagining: ${done} of ${count} pictures have arrived …`, true);
}

// Reads the events of a search; returns whether the stream came to its end.
async function follow(response, quiet, began, again) {
  let slow = 0;
  try {
    for await (const { event, data } of events(response)) {
      clearTimeout(slow);
      if (event === "done") return true;
      if (event === "error") throw new Refusal(data.error, 500);
      if (event === "fused") showFused(data, (performance.now() - began) / 1000, again);
      else {
        if (event === "text") showText(data, quiet);
        else arrived(data);
        if (state.mode !== "text") progress(state.images ?? bundle().images ?? 1);
        slow = setTimeout(() => say(PATIENCE, true), SLOW);
      }
    }
    return false;
  } finally {
    clearTimeout(slow);
  }
}

async function byWords(quiet, signal, again) {
  const began = performance.now();
  const count = state.images ?? bundle().images ?? 0;
  if (!quiet) {
    forget();
    at("imagination").hidden = state.mode === "text";
    expectPictures(count);
  } else expectMore(count);
  const response = await post("search/stream", body(state), signal);
  if (!(await follow(response, quiet, began, again))) {
    throw new Refusal("The connection broke off before all pictures were imagined.", 0);
  }
}

async function byPicture(signal) {
  const began = performance.now();
  const own = ownPicture();
  const answer = await (await post("similar", own ? form(state, own) : body(state), signal)).json();
  showSimilar(answer, (performance.now() - began) / 1000);
}

// Answer the search in `state`. `quiet`: what is shown stays until the new answer is there.
export async function search(quiet) {
  const signal = stop();
  const again = () => search(false);
  clearError();
  at("answer").classList.add("stale");
  at("answer").setAttribute("aria-busy", "true");
  say(state.q ? `Looking for “${state.q}” …` : "Looking for similar pictures …", true);
  try {
    await (state.q ? byWords(quiet, signal, again) : byPicture(signal));
  } catch (error) {
    if (signal.aborted) return;
    giveUp();
    if (!(error instanceof Refusal)) {
      showError("The connection broke off before all pictures were imagined.", again);
    } else refused(error, again);
    if (error.status) hideIfStale();
  }
  at("answer").setAttribute("aria-busy", "false");
}

// An answer to something else must not stand below an error.
function hideIfStale() {
  if (!at("answer").classList.contains("stale")) return;
  at("answer").hidden = true;
  clearHits();
}
