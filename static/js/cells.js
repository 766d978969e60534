/* What stands in the cells of tables: names that lead somewhere, times, numbers, states.

   Law: one form for one kind of thing on every page. */

import { processPage } from "./address.js";
import { request } from "./api.js";
import { copyButton, glyph, h, when } from "./dom.js";
import { count, moment, shapeOf, stateWord } from "./words.js";

export const mono = (text) => (isNothing(text) ? "" : h("span.mono", {}, String(text)));
export const number = (value) => (isNothing(value) ? "" : h("span.number", {}, count(value)));

const isNothing = (value) => value === undefined || value === null || value === "";

/** A time of REST, as how long ago. */
export function time(value) {
  const at = moment(value);
  return at === null ? "" : when(at);
}

/** A process by its whole name; `short`: without its sworm. */
export function processLink(sworm, name, short = false) {
  if (!name) return sworm ? mono(sworm) : "";
  return h("a.mono", { href: processPage(sworm, name) }, short ? name : `${sworm}/${name}`);
}

/** What is copied more often than read, with its button; `text` as it is copied, `shown` as it stands there. */
export function copyable(text, shown = mono(text)) {
  return isNothing(text) ? "" : h("span", {}, shown, copyButton(String(text), String(text)));
}

/** A node, which the map opens; an observer runs nothing, so there is no page for it. */
export function nodeLink(name) {
  if (!name || name.startsWith("observer")) return mono(name);
  return h("a.mono", { href: `/?${new URLSearchParams({ n: name })}` }, name);
}

export function groupLink(sworm, group) {
  return h("a.mono", { href: `/groups?${new URLSearchParams({ sworm, group })}` }, group);
}

/** A state as shape, colour and word. */
export function stateCell(state) {
  return h("span.state", {}, glyph(shapeOf(state)), stateWord(state));
}

/**
 * What ends an emptiness for which a sworm must be there: `text` and the command that `make(sworm)` gives, with one that is defined; else what
 * defines some.
 */
export function beginning(text, make) {
  const box = h("div.begin", {}, h("p", {}, text));
  const show = (said, shown) => box.replaceChildren(h("p", {}, said), command(shown));
  request("GET", "/sworms?limit=1").then(
    ({ items: [one] }) => (one ? show(text, make(one.name)) : show("No sworm is defined yet. This starts those of the demo, with their processes:", "./sworm up")),
    () => show(text, make("SWORM")),
  );
  return box;
}

/** A command that can be copied, in its box. */
export function command(text) {
  return h("div.command", {}, h("code", {}, text), copyButton(text, "command"));
}
