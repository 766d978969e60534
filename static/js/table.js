/* A page that is one table over one list of REST: search, filters, order and pages, all of them the server's work.

   Law: what is shown is what the address asks for, a page at a time by the list's own cursor, and is read again while it is looked at.
   Rows are kept by key, so that a focus or a selection survives the reading. A list that cannot be read says why and keeps what it
   showed. */

import { Address } from "./address.js";
import { listPath, request } from "./api.js";
import { h, say, tellTimes } from "./dom.js";
import { counted } from "./words.js";

/** Rows a page, and what else may be chosen. */
export const PAGE = 100;
/** ms between two readings of the same page. */
const AGAIN = 3000;
/** ms after the last key press until the list is asked. */
const TYPING = 250;

export class Table {
  /**
   * `spec`: path, words [one, many], empty (element for an empty list without filters), columns [{head, make(item), kind, sort, rare}],
   * filters [{name, label, kind: "search" | "text" | "choice", choices: [[value, word]], scope (says what the list is of, leaves
   * nothing out)}], fixed (parameters that are always sent),
   * key(item), and optionally: row(item, element), shown(items).
   */
  constructor(root, spec) {
    Object.assign(this, { root, spec });
    this.filters = spec.filters ?? [];
    this.address = new Address([...this.filters.map((filter) => filter.name), ...(spec.extra ?? []), "sort", "order", "cursor"], () => this.arrive());
    this.rows = new Map();
    this.items = [];
    this.asked = 0;
    this.build();
    this.arrive();
    window.setInterval(() => this.again(), AGAIN);
    window.setInterval(() => tellTimes(Date.now()), 1000);
  }

  // --- what stands there ------------------------------------------------------------------------------------------------

  build() {
    this.caption = h("caption", {}, "Reading the list");
    this.head = h("tr", { role: "row" }, this.spec.columns.map((column) => this.heading(column)));
    this.body = h("tbody", { role: "rowgroup" });
    this.table = h("table.list", { role: "table" }, this.caption, h("thead", { role: "rowgroup" }, this.head), this.body);
    this.trouble = h("p.trouble", { role: "alert", hidden: true });
    this.nothing = h("section.empty", { hidden: true });
    this.first = h("button", { type: "button", onclick: () => this.turn("") }, "First page");
    this.next = h("button", { type: "button", onclick: () => this.turn(this.cursor) }, "Next page");
    this.scroll = h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": this.root.dataset.title ?? "List" }, this.table);
    this.pager = h("nav.pager", { "aria-label": "Pages of the list" }, this.first, this.next);
    this.root.append(this.form(), this.trouble, this.spec.above ?? "", this.scroll, this.nothing, this.pager);
    this.body.addEventListener("keydown", (event) => this.pressed(event));
  }

  heading(column) {
    const kind = ["th", column.kind === "number" ? "number" : null, column.rare ? "rare" : null].filter(Boolean).join(".");
    if (!column.sort) return h(kind, { scope: "col", role: "columnheader" }, column.head);
    const button = h("button.sort", { type: "button", onclick: () => this.sortBy(column.sort) }, column.head);
    return h(kind, { scope: "col", role: "columnheader", "data-sort": column.sort }, button);
  }

  form() {
    this.fields = new Map();
    const parts = this.filters.map((filter) => h("div.filter", {}, h("label", { for: idOf(filter) }, filter.label), this.field(filter)));
    this.clear = h("button", { type: "button", onclick: () => this.clearAll() }, "Clear filters");
    const form = h("form.filters", { "aria-label": "Filters", onsubmit: (event) => event.preventDefault() }, parts, this.clear, this.spec.tools ?? "");
    form.hidden = parts.length === 0 && !this.spec.tools;
    return form;
  }

  field(filter) {
    const field = filter.kind === "choice" ? h("select", { id: idOf(filter) }, choices(filter)) : h("input", { id: idOf(filter), type: filter.kind, autocomplete: "off", spellcheck: "false", list: filter.list, placeholder: filter.placeholder });
    this.fields.set(filter.name, field);
    field.addEventListener("input", () => this.typed(filter));
    return field;
  }

  /** Offer other choices than at first: what is chosen stays. */
  offer(name, values) {
    const field = this.fields.get(name);
    const filter = this.filters.find((one) => one.name === name);
    const known = values.map((value) => (Array.isArray(value) ? value : [value, value]));
    const chosen = this.address.get(name);
    if (chosen && !known.some(([value]) => value === chosen)) known.push([chosen, chosen]);
    const shown = JSON.stringify(known);
    if (shown === field.dataset.offered) return;
    field.dataset.offered = shown;
    field.replaceChildren(...choices({ ...filter, choices: known }));
    field.value = chosen;
  }

  // --- what is asked for ------------------------------------------------------------------------------------------------

  arrive() {
    for (const [name, field] of this.fields) this.put(field, this.address.get(name));
    this.read();
  }

  put(field, value) {
    if (field.matches("select") && ![...field.options].some((option) => option.value === value)) field.append(h("option", { value }, value));
    if (field.value !== value) field.value = value;
  }

  typed(filter) {
    window.clearTimeout(this.typing);
    const now = () => {
      this.address.set({ [filter.name]: this.fields.get(filter.name).value.trim() }, { step: filter.kind === "choice" });
      this.read();
    };
    if (filter.kind === "choice") now();
    else this.typing = window.setTimeout(now, TYPING);
  }

  clearAll() {
    this.address.set(Object.fromEntries(this.filters.filter((filter) => !filter.scope).map((filter) => [filter.name, ""])));
    this.arrive();
  }

  turn(cursor) {
    this.address.set({ cursor });
    this.read().then(() => this.scroll.focus({ preventScroll: true }));
    window.scrollTo(0, 0);
  }

  /** The same column again turns the order around. */
  sortBy(field) {
    const { sort = this.spec.sort?.field, order = "asc" } = this.address.values;
    const turned = sort === field && order === "asc" ? "desc" : "";
    this.address.set({ sort: field === this.spec.sort?.field ? "" : field, order: turned });
    this.read();
  }

  get filtered() {
    return this.filters.some((filter) => !filter.scope && this.address.get(filter.name));
  }

  again() {
    if (document.visibilityState === "visible" && !this.paused) this.read();
  }

  async read() {
    const mine = (this.asked += 1);
    const path = typeof this.spec.path === "function" ? this.spec.path(this.address) : this.spec.path;
    const sent = this.spec.sent ? this.spec.sent(this.address.values) : this.address.values;
    this.showAsked();
    if (path === undefined) return undefined; // what the list is of is not known yet
    if (path === null) return this.show([], null);
    try {
      const answer = await request("GET", listPath(path, { limit: PAGE, ...this.spec.fixed, ...sent }));
      if (mine !== this.asked) return undefined; // something else was asked for meanwhile
      this.trouble.hidden = true;
      return this.show(answer.items, answer.next_cursor);
    } catch (problem) {
      if (mine === this.asked) this.fail(problem);
    }
    return undefined;
  }

  fail(problem) {
    const before = this.items.length ? " What stands below is from before." : "";
    say(this.trouble, `The list cannot be read: ${sentence(problem.message)}${before}`);
    if (!this.items.length) say(this.caption, "Nothing could be read");
    this.trouble.hidden = false;
  }

  // --- what is shown ------------------------------------------------------------------------------------------------------

  showAsked() {
    const { sort = this.spec.sort?.field, order = this.spec.fixed?.order ?? "asc", cursor } = this.address.values;
    for (const th of this.head.children) {
      if (!th.dataset.sort) continue;
      if (th.dataset.sort === sort) th.setAttribute("aria-sort", order === "desc" ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    this.clear.hidden = !this.filtered;
    this.first.hidden = !cursor;
  }

  show(items, cursor) {
    this.items = items;
    this.cursor = cursor;
    this.next.hidden = cursor === null;
    this.pager.hidden = this.first.hidden && this.next.hidden;
    this.place(items);
    this.describe(items);
    this.spec.shown?.(items);
  }

  describe(items) {
    const [one, many] = this.spec.words;
    const later = Boolean(this.address.get("cursor"));
    const more = this.cursor !== null ? " on this page, there are more" : later ? " on this page, the last" : "";
    const none = items.length === 0;
    say(this.caption, none ? `No ${one}${this.filtered ? " passes these filters" : ""}` : `${counted(items.length, one, many)}${more}`);
    this.scroll.hidden = none && !this.filtered && !later;
    this.nothing.hidden = !this.scroll.hidden;
    this.pager.hidden ||= none && !later;
    if (!this.nothing.hidden && !this.nothing.firstChild) this.nothing.append(...[this.spec.empty()].flat());
  }

  place(items) {
    const wanted = new Set(items.map(this.spec.key));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    items.forEach((item, i) => {
      const element = this.row(item);
      if (this.body.children[i] !== element) this.body.insertBefore(element, this.body.children[i] ?? null);
    });
  }

  row(item) {
    const key = this.spec.key(item);
    const shown = JSON.stringify(item);
    const before = this.rows.get(key);
    if (before?.shown === shown) return before.element;
    const element = before?.element ?? h("tr", { role: "row" });
    const at = [...element.children].findIndex((cell) => cell.contains(document.activeElement));
    element.replaceChildren(...this.spec.columns.map((column) => cell(column, item)));
    if (at >= 0) element.children[at].querySelector("a, button, input")?.focus();
    this.rows.set(key, { element, shown, item });
    this.spec.row?.(item, element);
    return element;
  }

  /** Have `row` look again at what is shown: what it marks may have changed though no item has. */
  remark() {
    for (const { item, element } of this.rows.values()) this.spec.row?.(item, element);
  }

  // --- keys -----------------------------------------------------------------------------------------------------------------

  pressed(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tr");
    if (by === undefined || row === null || event.target.matches("select, textarea")) return;
    const other = by > 0 ? row.nextElementSibling : row.previousElementSibling;
    const at = [...row.children].findIndex((one) => one.contains(event.target));
    const to = other?.children[at]?.querySelector("a, button, input") ?? other?.querySelector("a, button, input");
    if (!to) return;
    event.preventDefault();
    to.focus();
  }
}

function cell(column, item) {
  const kind = [column.rowHead ? "th" : "td", column.kind, column.rare ? "rare" : null].filter(Boolean).join(".");
  const made = column.make(item);
  const attributes = { role: column.rowHead ? "rowheader" : "cell", scope: column.rowHead ? "row" : null, "data-head": column.head };
  return h(kind, attributes, made === null || made === undefined ? "" : made);
}

/** The search is where the key `/` leads. */
function idOf({ name, kind }) {
  return kind === "search" ? "search" : `filter-${name}`;
}

function choices({ choices: known = [], any = "any" }) {
  return [h("option", { value: "" }, any), ...known.map((one) => (Array.isArray(one) ? h("option", { value: one[0] }, one[1]) : h("option", { value: one }, one)))];
}

/** A server's sentence, ended as one. */
export function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
