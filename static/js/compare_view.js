/* Two snapshots of one sworm beside each other: origins, then every entry that differs.

   Law: the address says which two; what is not recorded is said to be unknown. A snapshot that was pruned is told, and others are offered. */

import { listPath, request } from "./api.js";
import { mono } from "./cells.js";
import { h, say } from "./dom.js";
import { sentence } from "./table.js";
import { clock, count, counted, exact, moment } from "./words.js";

const VERDICTS = { only_left: "only in the first", only_right: "only in the second", differs: "differs", unknown: "changed in between; one side is not recorded" };

const titleOf = (sworm) => sworm || "(directory)";

export class CompareView {
  constructor(address) {
    this.address = address;
    this.sworm = h("select", { id: "compare-sworm", onchange: () => this.chosen({ sworm: this.sworm.value || "-", left: "", right: "" }) });
    this.left = h("select", { id: "compare-left", onchange: () => this.chosen({ left: this.left.value }) });
    this.right = h("select", { id: "compare-right", onchange: () => this.chosen({ right: this.right.value }) });
    this.trouble = h("p.trouble", { role: "alert", hidden: true });
    this.answer = h("div.compared", { role: "status" });
    const field = (label, select) => h("div.filter", {}, h("label", { for: select.id }, label), select);
    this.element = h(
      "section.compare", { "aria-labelledby": "compare-title" },
      h("h2", { id: "compare-title" }, "Compare two snapshots"),
      h("form.filters", { "aria-label": "Snapshots to compare", onsubmit: (event) => event.preventDefault() }, field("Sworm", this.sworm), field("First", this.left), field("Second", this.right)),
      this.trouble,
      this.answer,
    );
  }

  chosen(part) {
    this.address.set(part);
    this.shown = null;
    this.refresh();
  }

  /** "-" in the address is the directory: an empty value would not be in it. */
  get wanted() {
    const { sworm, left, right } = this.address.values;
    return { sworm: sworm === "-" ? "" : sworm, left, right };
  }

  /** The newest snapshots, of which the sworms are known. */
  offer(rows) {
    const sworms = [...new Set(rows.map((row) => row.sworm))].sort();
    const shown = sworms.join("\u0000");
    if (this.sworm.dataset.shown !== shown) {
      this.sworm.dataset.shown = shown;
      this.sworm.replaceChildren(...sworms.map((sworm) => h("option", { value: sworm }, titleOf(sworm))));
    }
    this.first = sworms.find((sworm) => sworm !== "") ?? sworms[0];
    this.refresh();
  }

  async refresh() {
    const { sworm = this.first, left = "", right = "" } = this.wanted;
    if (sworm === undefined) return;
    this.sworm.value = sworm;
    const asked = JSON.stringify([sworm, left, right]);
    try {
      if (this.listed !== sworm || this.shown !== asked) await this.list(sworm, left, right);
      this.listed = sworm;
      if (left && right && this.shown !== asked) this.show(await request("GET", listPath("/replicas/compare", { left, right })));
      else if (!left || !right) this.answer.replaceChildren(h("p.faint", {}, "Choose two: of one node at two moments, or of two nodes."));
      this.trouble.hidden = true;
    } catch (problem) {
      this.answer.replaceChildren();
      say(this.trouble, `They cannot be compared: ${sentence(problem.message)}`);
      this.trouble.hidden = false;
    }
    this.shown = asked;
  }

  async list(sworm, left, right) {
    const { items } = await request("GET", listPath("/replicas/snapshots", { sworm, limit: 300 }));
    for (const [select, chosen] of [[this.left, left], [this.right, right]]) {
      const options = items.map((row) => h("option", { value: String(row.id) }, `${row.node} at ${clock(moment(row.observed_at))}, ${counted(row.size, "entry", "entries")}`));
      if (chosen && !items.some((row) => String(row.id) === chosen)) options.push(h("option", { value: chosen }, `snapshot ${chosen}`));
      select.replaceChildren(h("option", { value: "" }, "choose one"), ...options);
      select.value = chosen;
    }
  }

  show({ left, right, origins, counts, entries }) {
    const differing = counts.only_left + counts.only_right + counts.differs + counts.unknown;
    const equal = differing === 0 && origins.every((origin) => origin.left === origin.right && !origin.broken);
    const unknown = origins.filter((origin) => !origin.known && origin.left !== origin.right);
    const cut = entries.length < differing ? `; the first ${count(entries.length)} stand below` : "";
    this.answer.replaceChildren(
      h("p.verdict", {}, equal ? `The two are the same: ${counted(counts.same, "entry", "entries")}.` : `${counted(differing, "entry differs", "entries differ")}, ${count(counts.same)} are the same${cut}.`),
      unknown.length ? h("p.note", {}, `Of ${unknown.map((origin) => origin.origin).join(", ")} no entries were recorded, so only versions can be compared.`) : "",
      h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": "Origins compared" }, originTable(left, right, origins)),
      entries.length ? h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": "Entries compared" }, entryTable(left, right, entries)) : "",
    );
  }
}

const nameOf = (row) => h("span", { title: exact(moment(row.observed_at)) }, `${row.node} at ${clock(moment(row.observed_at))}`);

function originTable(left, right, origins) {
  const said = (origin) => (origin.broken ? "equal versions, different entries: this must never be" : origin.left === origin.right ? "the same" : "differs");
  const head = h("tr", {}, h("th", { scope: "col" }, "Origin"), h("th.number", { scope: "col" }, nameOf(left)), h("th.number", { scope: "col" }, nameOf(right)), h("th", { scope: "col" }, "Verdict"));
  const cell = (value) => h("td.number", {}, value === null ? "none" : count(value));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, origins.map((origin) => h(origin.left === origin.right && !origin.broken ? "tr" : "tr.differs", {}, h("th", { scope: "row" }, mono(origin.origin)), cell(origin.left), cell(origin.right), h("td", {}, said(origin))))));
}

function entryTable(left, right, entries) {
  const head = h("tr", {}, h("th", { scope: "col" }, "Entry"), h("th", { scope: "col" }, "Of"), h("th", { scope: "col" }, "Verdict"), h("th", { scope: "col" }, nameOf(left)), h("th", { scope: "col" }, nameOf(right)));
  const rows = entries.map((entry) => h("tr", {}, h("th", { scope: "row" }, mono(keyText(entry.key))), h("td", {}, mono(entry.origin)), h("td", {}, VERDICTS[entry.verdict]), value(entry.left, entry.right), value(entry.right, entry.left)));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, rows));
}

const keyText = (key) => (Array.isArray(key) ? key.join(" ") : key);

/** A value; of one with fields only those that the other side has differently. */
function value(one, other) {
  if (one === null || one === undefined) return h("td.wide", {}, h("span.faint", {}, "not there"));
  if (!isFields(one) || !isFields(other)) return h("td.wide", {}, mono(isFields(one) ? brief(one) : JSON.stringify(one)));
  const fields = Object.entries(one).filter(([name, field]) => JSON.stringify(field) !== JSON.stringify(other[name]));
  return h("td.wide", {}, mono(fields.map(([name, field]) => `${name}: ${JSON.stringify(field)}`).join(", ")));
}

const isFields = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const brief = ({ state, epoch, spec, ...rest }) => (state === undefined ? JSON.stringify(rest) : `${state}, epoch ${epoch}${spec ? `, ${spec}` : ""}`);
