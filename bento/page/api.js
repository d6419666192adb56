// Talks to the service. Every address is relative, so the page works under any path prefix.

const KEPT = "eidolon-key"; // in sessionStorage: gone with the tab

// The service said no: `status` is 0 if it could not be reached, `wait` the seconds to wait.
export class Refusal extends Error {
  constructor(message, status, wait = 0) {
    super(message);
    Object.assign(this, { status, wait });
  }
}

export const keepKey = (key) => sessionStorage.setItem(KEPT, key);

export const hasKey = () => sessionStorage.getItem(KEPT) !== null;

async function ask(address, options = {}) {
  const headers = new Headers(options.headers);
  if (hasKey()) headers.set("Authorization", `Bearer ${sessionStorage.getItem(KEPT)}`);
  let response;
  try {
    response = await fetch(address, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server cannot be reached. Is it still running?", 0);
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  const why = said.error ?? `the server answered with status ${response.status}`;
  throw new Refusal(why, response.status, Number(response.headers.get("Retry-After")) || 0);
}

export const get = async (address) => (await ask(address)).json();

export function post(address, body, signal) {
  return ask(address, body instanceof FormData ? { method: "POST", body, signal } : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

const blobs = new Map(); // address: object URL. An <img> sends no key, so the page fetches them.

async function withKey(address) {
  if (!blobs.has(address)) {
    const fetched = ask(address).then(async (r) => URL.createObjectURL(await r.blob()));
    blobs.set(address, fetched);
    fetched.catch(() => blobs.delete(address));
  }
  return blobs.get(address);
}

// Show the picture at `address` in `image`.
export async function load(image, address) {
  if (image.dataset.address === address) return;
  image.dataset.address = address;
  const source = hasKey() ? await withKey(address).catch(() => "") : address;
  if (image.dataset.address === address) image.src = source;
}

// The picture at `address`, in a new tab: with a key, a plain link could not be followed.
export async function open(address) {
  window.open(hasKey() ? await withKey(address) : address, "_blank", "noopener");
}
