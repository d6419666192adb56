// The search page. Text from users and servers enters the page as text nodes only.

const at = (id) => document.getElementById(id);
const SCORES = [["fused", "score"], ["text", "text_score"], ["image", "image_score"],
  ["hubness", "hubness"]];
const [SMALLEST, LARGEST] = [96, 192]; // CSS pixels of a picture's side; page.css starts at the first
let asked = 0; // the newest search; answers of older ones are dropped

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function picture(url, alt) {
  const image = make("img", { className: "picture", alt });
  image.addEventListener("load", () => {
    const side = Math.max(image.naturalWidth, image.naturalHeight);
    // pixel art stays sharp, photographs are smoothed
    image.classList.toggle("large", side > SMALLEST);
    const list = image.closest("ul, ol"); // none once a newer answer has taken its place
    if (!list) return;
    const before = parseFloat(getComputedStyle(list).getPropertyValue("--side"));
    list.style.setProperty("--side", `${Math.max(before, Math.min(side, LARGEST))}px`);
  });
  image.src = url;
  const link = make("a", { className: "picture", href: url }, image);
  if (url.startsWith("data:")) link.download = `${alt}.png`; // browsers open no such address
  return link;
}

function bar(kind, value) {
  const filled = make("b");
  filled.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
  return make("div", { className: `bar ${kind}`, title: `${kind} ${value.toFixed(4)}` },
    make("i", { ariaHidden: "true" }, filled),
    make("span", {}, make("span", { className: "hidden" }, `${kind} `), value.toFixed(2)));
}

function card(hit) {
  return make("li", {},
    picture(hit.picture, `Picture of ${hit.category}`),
    make("p", { className: "category", title: hit.id },
      make("span", { className: "rank" }, `${hit.rank}`), hit.category),
    ...(hit.source ? [make("p", { className: "source", title: hit.source }, hit.source)] : []),
    ...SCORES.map(([kind, field]) => bar(kind, hit[field])));
}

function show(answer, seconds) {
  const imagined = answer.imagined.map((one, i) =>
    make("li", {}, picture(one.picture, `Imagined picture ${i + 1} of ${answer.query}`)));
  at("imagined").replaceChildren(...imagined);
  at("no-imagined").hidden = imagined.length > 0;
  at("hits").replaceChildren(...answer.hits.map(card));
  at("weight").textContent = `λ = ${answer.lambda.toFixed(2)}`;
  at("answer").classList.toggle("uncorrected", !answer.known); // its hubness is 0 everywhere
  at("weight").title = "fused = (1 − λ) · text + λ · image" + (answer.known ?
    " − hubness, how near the picture is to the queries of all known categories" : "");
  const how = answer.known ? "a known category, from the bundle, in" : "no category, so it was imagined; answered in";
  say(`${answer.hits.length} pictures for “${answer.query}”: ${how} ${seconds.toFixed(2)} s.`);
  at("answer").hidden = false;
}

function say(text, busy = false) {
  at("status").textContent = text;
  at("status").classList.toggle("busy", busy);
}

function fail(message) {
  say("");
  at("answer").hidden = true;
  at("error").textContent = message;
  at("error").hidden = false;
}

async function search(query, k) {
  const mine = ++asked;
  const began = performance.now();
  at("error").hidden = true;
  document.querySelector("form button").disabled = true;
  say(`Looking for “${query}” …`, true);
  try {
    const response = await fetch("/search", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ query, k }),
    });
    const answer = await response.json();
    if (mine !== asked) return;
    if (response.ok) show(answer, (performance.now() - began) / 1000);
    else fail(`The search failed: ${answer.error ?? response.status}`);
  } catch {
    if (mine === asked) fail("The server cannot be reached. Is it still running?");
  } finally {
    if (mine === asked) document.querySelector("form button").disabled = false;
  }
}

function start() {
  const address = new URL(location);
  const query = address.searchParams.get("q");
  const k = address.searchParams.get("k");
  at("form").reset();
  if ([...at("k").options].some((one) => one.value === k)) at("k").value = k;
  if (query) {
    at("query").value = query;
    search(query, Number(at("k").value));
  } else {
    asked += 1;
    at("answer").hidden = at("error").hidden = true;
    document.querySelector("form button").disabled = false;
    say("Nothing searched yet: type a description, or take an example.");
  }
}

function submit(query) {
  const words = query.trim();
  if (!words) {
    fail("Type what to look for.");
    at("query").focus();
    return;
  }
  at("query").value = words;
  const k = at("k").value;
  history.pushState(null, "", `?${new URLSearchParams({ q: words, k })}`);
  search(words, Number(k));
}

async function lineage() {
  try {
    const response = await fetch("/bundle");
    const bundle = await response.json();
    if (!response.ok) throw new Error(bundle.error);
    at("lineage").textContent = `bundle version ${bundle.version} (${bundle.digest}) · dataset `
      + `${bundle.dataset.dvc.slice(0, 12)} · ${bundle.dataset.pictures} pictures · profile ${bundle.profile}`;
    at("examples").replaceChildren(...bundle.examples.map((text) => {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => submit(text));
      return button;
    }));
  } catch {
    at("lineage").textContent = "The lineage cannot be read.";
  }
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit(at("query").value);
});
addEventListener("popstate", start);
lineage();
start();
