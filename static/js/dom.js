/* Making elements, and keeping relative times true.

   Law: text always goes in as text, never as markup, so that a process may be called whatever it likes. */

import { ago, exact, span } from "./words.js";

/** An element: `h("button.quiet", {type: "button", onclick: f}, "Stop", …)`. Null children are left out. */
export function h(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function set(element, name, value) {
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (value === true) element.setAttribute(name, "");
  else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
}

/** Put text into an element, touching it only when it differs. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

/** The drawing of a state, from the symbols in the page. */
export function glyph(shape) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `glyph is-${shape}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#shape-${shape}`);
  svg.append(use);
  return svg;
}

/** A time that says how long ago it was and keeps saying it; `form` "ago" or "span". */
export function when(at, form = "ago") {
  if (at === null) return h("span.faint", {}, "not known");
  const element = h("time", { datetime: new Date(at).toISOString(), title: exact(at), "data-at": at, "data-form": form });
  tell(element, Date.now());
  return element;
}

function tell(element, now) {
  const at = Number(element.dataset.at);
  say(element, element.dataset.form === "span" ? span(now - at) : ago(at, now));
}

/** Bring every relative time on the page up to date. */
export function tellTimes(now) {
  for (const element of document.querySelectorAll("time[data-at]")) tell(element, now);
}

/** A button that copies `text`, and says that it did. */
export function copyButton(text, what) {
  const button = h("button.copy", { type: "button", "aria-label": `Copy ${what}` }, "copy");
  button.addEventListener("click", async () => {
    say(button, (await copied(text)) ? "copied" : "not allowed");
    window.setTimeout(() => say(button, "copy"), 1500);
  });
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
