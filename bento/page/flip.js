// Moves the children of a list visibly to their new places: first, last, invert, play.

import { calm } from "./dom.js";

const EASING = "cubic-bezier(.2, .85, .25, 1)";

function moved(from, to) {
  const [x, y] = [from.left - to.left, from.top - to.top];
  return Math.abs(x) + Math.abs(y) > 1 ? [x, y] : null;
}

// Put `nodes` into `list`. The focus stays where it is.
export function rearrange(list, nodes) {
  const before = new Map([...list.children].map((one) => [one, one.getBoundingClientRect()]));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  list.replaceChildren(...nodes);
  focused?.focus({ preventScroll: true });
  if (calm()) return;
  const after = nodes.map((one) => one.getBoundingClientRect());
  nodes.forEach((node, i) => {
    const from = before.get(node);
    if (!from) {
      node.animate([{ opacity: 0, transform: "scale(.9)" }, { opacity: 1, transform: "none" }],
        { duration: 380, delay: Math.min(i, 24) * 14, fill: "backwards", easing: EASING });
      return;
    }
    const way = moved(from, after[i]);
    if (!way) return;
    const zIndex = from.top > after[i].top ? 2 : 1; // what rises passes over what sinks
    node.animate([{ transform: `translate(${way[0]}px, ${way[1]}px)`, zIndex },
      { transform: "none", zIndex }], { duration: 750, easing: EASING });
  });
}
