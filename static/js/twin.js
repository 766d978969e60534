/* The map as a table: the same processes for screen readers, keyboards, printing and copying.

   Law: shows what the map shows under the same filter, a part at a time; rewritten at most once a second, rows kept by key so that a focus
   stays where it is. */

import { glyph, h, say, tellTimes, when } from "./dom.js";
import { inOrder } from "./model.js";
import { count, moment, shapeOf, stateWord } from "./words.js";

/** Rows shown at first, and added by each "show more". */
const PAGE = 200;

const HEADS = ["State", "Sworm", "Name", "Node", "pid", "Epoch", "Restarts", "Since"];

export class Twin {
  /** `on.open(key)`. */
  constructor(element, model, filter, on) {
    Object.assign(this, { element, model, filter, on });
    this.limit = PAGE;
    this.rows = new Map();
    this.body = h("tbody", { role: "rowgroup" });
    this.caption = h("caption");
    this.more = h("button", { type: "button", onclick: () => this.grow() }, "Show more");
    const head = HEADS.map((word) => h(word === "Restarts" ? "th.number" : "th", { scope: "col", role: "columnheader" }, word));
    const table = h("table.list", { role: "table" }, this.caption, h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)), this.body);
    element.append(h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": "Processes" }, table), this.more);
  }

  grow() {
    this.limit += PAGE;
    this.render();
  }

  render() {
    if (this.element.hidden) return;
    const all = [...this.model.processes.values()].filter((process) => this.filter.shows(process)).sort(inOrder);
    const shown = all.slice(0, this.limit);
    say(this.caption, `${count(shown.length)} of ${count(all.length)} processes${this.filter.active ? " that match" : ""}`);
    this.more.hidden = shown.length === all.length;
    this.place(shown);
    tellTimes(Date.now());
  }

  place(shown) {
    const wanted = new Set(shown.map((process) => process.key));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    shown.forEach((process, i) => {
      const { element } = this.row(process);
      if (this.body.children[i] !== element) this.body.insertBefore(element, this.body.children[i] ?? null);
    });
  }

  row(process) {
    const before = this.rows.get(process.key);
    if (before?.process === process) return before;
    const element = before?.element ?? h("tr", { role: "row" });
    const row = { process, element };
    this.rows.set(process.key, row);
    const focused = element.contains(document.activeElement);
    element.replaceChildren(...this.cells(process));
    if (focused) element.querySelector("button").focus();
    return row;
  }

  cells(process) {
    const cell = (kind, word, ...what) => h(kind, { role: kind.startsWith("th") ? "rowheader" : "cell", scope: kind.startsWith("th") ? "row" : null, "data-head": word }, ...what);
    const name = h("button.link.mono", { type: "button", onclick: () => this.on.open(process.key) }, process.name);
    const started = moment(process.started_at);
    return [
      cell("td", "State", h("span.state", {}, glyph(shapeOf(process.state)), stateWord(process.state))),
      cell("td", "Sworm", process.sworm),
      cell("th", "Name", name),
      cell("td", "Node", process.node),
      cell("td", "pid", h("span.mono", {}, process.pid)),
      cell("td", "Epoch", h("span.mono", {}, String(process.epoch))),
      cell("td.number", "Restarts", process.restarts === undefined ? "" : count(process.restarts)),
      cell("td", "Since", started === null ? "" : when(started)),
    ];
  }
}
