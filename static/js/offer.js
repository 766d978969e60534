/* The nodes that may be chosen as the place something moves to.

   Law: one rule for every page, and the choice stays while it can be made. */

import { h } from "./dom.js";
import { COLLATOR } from "./words.js";

/** Names of the nodes that take processes, in order; `except`: where it is already. */
export function takers(nodes, except = null) {
  const names = nodes.filter((node) => node.status === "alive" && !node.cordoned).map((node) => node.name);
  return names.filter((name) => name !== except).sort(COLLATOR.compare);
}

/** Make them the choices of a select, after `first`, which leaves it open; false when they were so already. */
export function offerNodes(select, names, first = null) {
  const shown = names.join();
  if (select.dataset.shown === shown) return false;
  select.dataset.shown = shown;
  const chosen = select.value;
  const open = first === null ? [] : [h("option", { value: "" }, first)];
  select.replaceChildren(...open, ...names.map((name) => h("option", { value: name }, `to ${name}`)));
  if (names.includes(chosen)) select.value = chosen;
  return true;
}
