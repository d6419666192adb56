// What the page says: the status, errors with a way out, and what to know about an answer.

import { forgetKey, hasKey, keepKey } from "./api.js";
import { at, button, make, number, percent } from "./dom.js";
import { go, newWords } from "./state.js";

const WHY = {
  saturated: "Many texts are waiting to be drawn",
  slow: "Drawing took too long",
  unavailable: "The model that imagines is not running",
  failed: "The model could not draw this text",
  unfit: "No imagined picture was fit to use",
  disagreeing: "The imagined pictures show your words poorly",
};
let counting = 0;

export function say(text, busy = false) {
  if (at("status").textContent !== text) at("status").textContent = text;
  at("status").classList.toggle("busy", busy);
}

export function clearError() {
  clearInterval(counting);
  at("error").hidden = at("key").hidden = true;
}

export function showError(message, again = null, wait = 0) {
  clearError();
  say("");
  const left = make("span", { className: "quiet", aria: { hidden: "true" } });
  at("error").replaceChildren(make("p", {}, message), ...(again ? [button({}, again, "Try again"), left] : []));
  at("error").hidden = false;
  if (!wait) return;
  const until = Date.now() + 1000 * wait;
  const count = () => {
    const seconds = Math.ceil((until - Date.now()) / 1000);
    left.textContent = seconds > 0 ? `best in ${seconds} s` : "";
    if (seconds <= 0) clearInterval(counting);
  };
  count();
  counting = setInterval(count, 500);
}

// What the service refused, in a sentence, with a way out.
export function refused(refusal, again) {
  if (refusal.status === 401) {
    askForKey(again);
    return;
  }
  const busy = [429, 503].includes(refusal.status);
  const wait = refusal.wait || 1;
  const later = busy ? ` Try again in ${wait} ${wait === 1 ? "second" : "seconds"}.` : "";
  const what = `${refusal.message[0].toUpperCase()}${refusal.message.slice(1)}`.replace(/([^.?!])$/, "$1.");
  const final = refusal.status >= 400 && refusal.status < 500 && !busy;
  showError(what + later, final ? null : again, busy ? wait : 0);
}

function askForKey(again) {
  clearError();
  say("");
  at("key").hidden = false;
  at("key-wrong").textContent = hasKey() ? "The service does not know this key." : "";
  forgetKey();
  at("key-value").focus();
  at("key").onsubmit = (event) => {
    event.preventDefault();
    keepKey(at("key-value").value.trim());
    at("key").reset();
    at("key").hidden = true;
    again();
  };
}

// The notices above an answer; `again` asks once more.
export function showNotices(answer, again) {
  const notices = [];
  const words = answer.unknown_words ?? [];
  if (words.length) {
    const listed = words.map((word) => `“${word}”`).join(", ");
    notices.push([`The text encoder does not know: ${listed}.`]);
  }
  if (answer.suggestion) {
    const meant = button({ className: "chip" }, () => go(newWords(answer.suggestion)), answer.suggestion);
    notices.push(["Did you mean", meant]);
  }
  if (answer.excluded) {
    notices.push([`Pictures of “${answer.excluded}” are moved down, because the words exclude it.`]);
  }
  if (answer.truncated) {
    notices.push(["The text is too long for the text encoder: it read only the beginning."]);
  }
  const why = WHY[answer.degraded ?? answer.missing?.why] ?? "Something went wrong";
  if (answer.degraded) {
    notices.push([`${why}, so this is ranked by words alone.`, ...instead(answer.degraded, again)]);
  } else if (answer.missing) {
    const { count } = answer.missing;
    const lost = count === 1 ? "one imagined picture is" : `${number(count)} imagined pictures are`;
    notices.push([`${why}, so ${lost} missing.`, button({}, again, "Try again")]);
  }
  at("notices").replaceChildren(...notices.map(([text, ...more]) => make("li", {}, make("p", {}, text), ...more)));
}

// What a person can do about an answer by words alone.
function instead(degraded, again) {
  if (degraded === "unfit") return [];
  if (degraded === "disagreeing") return [button({}, () => go({ mode: "fused" }), "Rank by them anyway")];
  return [button({}, again, "Try again")];
}

// A calm sentence and a small meter.
export function showConfidence(answer) {
  const { confidence, relevant } = answer;
  at("seems").hidden = relevant !== false;
  at("hits").classList.toggle("faint", relevant === false);
  at("confidence").replaceChildren();
  if (confidence === undefined || relevant === false) return;
  const words = confidence >= 0.75 ? "The gallery very likely has this."
    : confidence >= 0.4 ? "The gallery may have this." : "The gallery hardly has this.";
  const meter = make("meter", { min: 0, max: 1, value: confidence, title: `confidence ${percent(confidence)}`,
    aria: { label: `Confidence ${percent(confidence)}` } });
  at("confidence").append(meter, words);
}
