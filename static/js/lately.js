/* The journal as a list under the map.

   Law: rewritten only when a sentence changed; a sentence about one process opens it. */

import { h, when } from "./dom.js";

/** Lines shown. */
const LINES = 8;

export class Lately {
  /** `on.open(key)`. */
  constructor(element, journal, on) {
    Object.assign(this, { element, journal, on });
    this.shown = "";
  }

  render() {
    const entries = this.journal.told(LINES);
    const shown = JSON.stringify(entries);
    if (shown === this.shown) return;
    this.shown = shown;
    this.element.replaceChildren(...(entries.length ? entries.map((entry) => this.line(entry)) : [this.nothing()]));
  }

  nothing() {
    return h("li.faint", {}, "Nothing has changed since this page was opened.");
  }

  line({ at, level, text, key }) {
    const said = key !== null ? h("button.link", { type: "button", onclick: () => this.on.open(key) }, text) : h("span", {}, text);
    return h(`li.level-${level}`, {}, when(at), said);
  }
}
