// Makes and finds nodes. Text from users and servers enters the page here, as text nodes only.

export const at = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const { aria = {}, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria)) node.setAttribute(`aria-${name}`, value);
  node.append(...children);
  return node;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function button(properties, pressed, ...children) {
  const node = make("button", { type: "button", ...properties }, ...children);
  node.addEventListener("click", pressed);
  return node;
}

// A button that shows only an icon; its name is read out and shown on hover.
export function iconButton(name, label, pressed) {
  return button({ className: "act", title: label, aria: { label } }, pressed, icon(name));
}

// A bar from 0 to `most`; what it shows must also be said in words beside it.
export function bar(kind, value, most = 1) {
  const filled = make("b", { className: kind });
  filled.style.width = `${100 * Math.min(1, Math.max(0, value / most))}%`;
  return make("i", { className: "bar", aria: { hidden: "true" } }, filled);
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export const number = (value) => value.toLocaleString("en");

export const percent = (value) => `${Math.round(100 * value)} %`;
