/* Lists of facts in the drawer: term, value, and what can be copied.

   Law: a value is touched only when it changed, so that a selection or a focus in it survives the stream. */

import { copyButton, h } from "./dom.js";

export class Facts {
  constructor() {
    this.element = h("dl.facts");
    this.rows = new Map(); // term -> {shown, value}
  }

  /**
   * Set one fact. `shown` decides whether it changed; `make()` gives the element or text for it; `copy` is what its copy
   * button copies. An empty `shown` takes the fact away.
   */
  set(term, shown, { make = () => shown, copy = null } = {}) {
    const row = this.rows.get(term) ?? this.add(term);
    row.term.hidden = row.value.hidden = shown === "";
    if (row.shown === shown) return;
    row.shown = shown;
    row.value.replaceChildren(make());
    if (copy !== null) row.value.append(" ", copyButton(copy, term));
  }

  add(term) {
    const row = { term: h("dt", {}, term), value: h("dd", {}), shown: null };
    this.element.append(row.term, row.value);
    this.rows.set(term, row);
    return row;
  }
}
