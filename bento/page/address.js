// The search in the page's address, so that it can be shared: only what differs from the default.

export const DEFAULTS = {
  q: "", like: "", k: 24, page: 1, mode: "auto", weight: null, images: null, seed: null,
  drop: [], exclude: "", kind: "class", description: "", filter: {}, group: false, compare: false,
};
export const COUNTS = [12, 24, 60];
export const MODES = ["auto", "text", "image", "fused"];
export const KINDS = ["class", "description", "both"];
export const MOST_IMAGES = 16;
const DEEPEST = 100_000; // so many pictures the service passes over at most
const DEEPEST_GROUPED = 2000; // and so many it groups

// The pages that the service can give.
export const mostPages = ({ k, group }) => (group ? Math.floor(DEEPEST_GROUPED / k) : Math.floor(DEEPEST / k) + 1);

// A column in an address ends at the first colon, so its own ones are encoded.
const encoded = (column) => column.replace(/[%:]/g, encodeURIComponent);

function decoded(column) {
  try {
    return decodeURIComponent(column);
  } catch {
    return column; // typed by hand
  }
}

function number(text, least, most, whole = true) {
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  const fits = value >= least && value <= most && (!whole || Number.isInteger(value));
  return fits ? value : null;
}

export function read(search) {
  const given = new URLSearchParams(search);
  const text = (name) => given.get(name) ?? "";
  const filter = {};
  for (const one of given.getAll("filter")) {
    const [, column, value] = one.match(/^([^:]+):(.+)$/s) ?? [];
    if (column) (filter[decoded(column)] ??= []).push(value);
  }
  const asked = number(given.get("k"), 1, 1000);
  const k = COUNTS.includes(asked) ? asked : DEFAULTS.k;
  const group = given.has("group");
  return {
    q: text("q"),
    like: text("like"),
    k,
    page: number(given.get("page"), 1, mostPages({ k, group })) ?? 1,
    mode: MODES.includes(text("mode")) ? text("mode") : "auto",
    weight: number(given.get("weight"), 0, 1, false),
    images: number(given.get("images"), 1, MOST_IMAGES),
    seed: number(given.get("seed"), 0, 2 ** 31 - 1),
    drop: given.getAll("drop").slice(0, 100),
    exclude: text("exclude"),
    kind: KINDS.includes(text("kind")) ? text("kind") : "class",
    description: text("description"),
    filter,
    group,
    compare: given.has("compare"),
  };
}

export function write(state) {
  const given = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const value = state[name];
    if (name === "filter") {
      for (const [column, values] of Object.entries(value)) {
        for (const one of values) given.append("filter", `${encoded(column)}:${one}`);
      }
    } else if (name === "drop") value.forEach((id) => given.append("drop", id));
    else if (value !== usual) given.set(name, value === true ? "1" : value);
  }
  const text = given.toString();
  return text ? `?${text}` : location.pathname;
}

const which = ({ k, page, filter, group }) => ({ k, ...(page > 1 && { offset: (page - 1) * k }),
  ...(group && { group }), ...(Object.keys(filter).length && { filter }) });

// A search by a picture of the person's own as the service takes it.
export function form(state, file) {
  const asked = new FormData();
  asked.set("image", file, file.name || "picture");
  for (const [name, value] of Object.entries(which(state))) asked.set(name, JSON.stringify(value));
  return asked;
}

// Any other search as the service takes it.
export function body(state) {
  const { q, mode, weight, images, seed, drop, exclude, kind, description, like } = state;
  if (like) return { id: like, ...which(state) };
  return { query: q, ...which(state), ...(mode !== "auto" && { mode }),
    ...(weight !== null && { weight }), ...(images !== null && { images }),
    ...(seed !== null && { seed }), ...(drop.length && { drop }), ...(exclude && { exclude }),
    ...(description ? { description } : kind !== "class" && { kind }) };
}
