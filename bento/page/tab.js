// Opens something of the service in a new tab, with the key where one is used.

import { hasKey, reachable } from "./api.js";
import { say } from "./notices.js";

const LIFE = 60_000; // milliseconds in which the tab must have read what was fetched for it

// The tab is opened at once: after the fetch, a browser would take it for a pop-up.
export async function open(address) {
  if (!hasKey()) {
    window.open(address, "_blank", "noopener");
    return;
  }
  const tab = window.open("", "_blank");
  try {
    const source = await reachable(address);
    setTimeout(() => URL.revokeObjectURL(source), LIFE);
    if (tab) tab.location = source;
  } catch (error) {
    tab?.close();
    say(`It could not be opened: ${error.message}`);
  }
}

// Let a link to the service work with a key.
export function carryKey(link) {
  link.addEventListener("click", (event) => {
    if (!hasKey()) return;
    event.preventDefault();
    open(link.href);
  });
  return link;
}
