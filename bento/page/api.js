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

export const forgetKey = () => sessionStorage.removeItem(KEPT);

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

// The address at which the browser itself finds what is at `address`. Neither an <img> nor a link
// sends a key, so with one the page fetches it.
export async function reachable(address) {
  if (!hasKey() || address.startsWith("blob:")) return address;
  return URL.createObjectURL(await (await ask(address)).blob());
}
