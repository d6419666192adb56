// The search page: puts its parts together.

import { listen as listenAnswer } from "./answer.js";
import { Refusal } from "./api.js";
import { listen as listenBalance } from "./balance.js";
import { listen as listenCompare } from "./compare.js";
import { listen as listenDialog } from "./dialog.js";
import { at } from "./dom.js";
import { allAgain, oneMore, reword } from "./imagined.js";
import { listen as listenKeyboard } from "./keyboard.js";
import { loadBundle } from "./lineage.js";
import { clearError, refused, say, showError } from "./notices.js";
import { listen as listenOptions, offer, showOptions } from "./options.js";
import { search, stop } from "./search.js";
import { go, isPictureGone, newWords, onChange, ownPicture, recall, state } from "./state.js";
import { carryKey } from "./tab.js";
import { listen as listenUpload, showAsked } from "./upload.js";

let ready = false; // once the bundle is known, `start` follows what was asked until then

function submit(text) {
  const words = text.trim();
  if (!words) {
    showError("Type what to look for.");
    at("query").focus();
    return;
  }
  if (matchMedia("(pointer: coarse)").matches) at("query").blur(); // room for the answer
  go(newWords(words));
}

function welcome() {
  stop();
  clearError();
  at("answer").hidden = true;
  say(isPictureGone() ? "This was a search by a picture of yours. The page no longer has it: choose it again."
    : "Nothing searched yet: type a description, take an example, or drop a picture.");
}

function follow(quiet) {
  const asked = Boolean(state.q || state.like || ownPicture());
  document.title = state.q ? `${state.q} · Eidolon` : "Eidolon";
  document.body.classList.toggle("fresh", !asked);
  document.body.classList.toggle("by-picture", asked && !state.q);
  at("share").disabled = Boolean(ownPicture());
  at("share").title = ownPicture() ? "A search by a picture of yours has no link" : "";
  showAsked();
  showOptions();
  if (asked) search(quiet);
  else welcome();
}

function changed(quiet) {
  if (at("query").value.trim() !== state.q) at("query").value = state.q;
  if (ready) follow(quiet);
}

async function share() {
  try {
    await navigator.clipboard.writeText(location.href);
    say("The link to this search is copied.");
  } catch {
    say("Copy the link to this search from the address bar.");
  }
}

async function start() {
  recall();
  if (state.q) at("query").value = state.q; // else a person may be typing already
  document.body.classList.toggle("fresh", !location.search); // an answer will follow
  try {
    const { columns, described } = await loadBundle(submit);
    offer(columns, described).catch(() => {}); // the values are only suggestions
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) {
      refused(error, start);
      return;
    }
    at("lineage").textContent = "The lineage cannot be read.";
  }
  ready = true;
  follow(false);
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit(at("query").value);
});
at("reword").addEventListener("click", reword);
at("one-more").addEventListener("click", oneMore);
at("all-again").addEventListener("click", allAgain);
at("share").addEventListener("click", share);
carryKey(at("bundle"));
for (const listen of [listenAnswer, listenBalance, listenCompare, listenDialog, listenKeyboard, listenOptions, listenUpload]) listen();
onChange(changed);
start();
