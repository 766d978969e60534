/* The line above the map: sworms to choose from, the legend with its counts, search, map or table.

   Law: writes the filter and the address, draws nothing of the map. Each legend entry is also a filter, so the legend is always
   the one in force. */

import { glyph, h, say } from "./dom.js";
import { STATES, count, counted, stateWord } from "./words.js";

export class Toolbar {
  /** `elements`: sworms, legend, search, matches, views. `on.filtered()`, `on.viewed(view)`, `on.found()` on Enter. */
  constructor(elements, model, filter, on) {
    Object.assign(this, { elements, model, filter, on });
    this.chips = new Map();
    this.entries = new Map();
    this.view = "map";
    for (const state of [...STATES, "unknown"]) this.addEntry(state);
    this.readAddress();
    this.listen();
  }

  listen() {
    const { search, views } = this.elements;
    search.addEventListener("input", () => this.change({ text: search.value }));
    search.addEventListener("keydown", (event) => this.searchKey(event));
    for (const button of views.querySelectorAll("button")) {
      button.addEventListener("click", () => this.setView(button.value));
    }
  }

  searchKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.on.found();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      event.target.value = "";
      this.change({ text: "" });
      event.target.blur();
    }
  }

  readAddress() {
    const query = new URLSearchParams(window.location.search);
    this.filter.set({ sworm: query.get("sworm") ?? "", state: query.get("state") ?? "", text: query.get("q") ?? "" });
    this.elements.search.value = this.filter.text;
    if (query.get("view") === "table") this.view = "table";
  }

  writeAddress() {
    const url = new URL(window.location.href);
    const wanted = { sworm: this.filter.sworm, state: this.filter.state, q: this.filter.text, view: this.view === "map" ? "" : this.view };
    for (const [name, value] of Object.entries(wanted)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    window.history.replaceState(null, "", url);
  }

  change(part) {
    this.filter.set(part);
    this.writeAddress();
    this.refresh();
    this.on.filtered();
  }

  setView(view) {
    this.view = view;
    this.writeAddress();
    this.refresh();
    this.on.viewed(view);
  }

  /** Bring counts and marks up to date. */
  refresh() {
    this.refreshChips();
    const tally = this.model.tally();
    for (const [state, entry] of this.entries) {
      const n = tally.get(state) ?? 0;
      entry.button.hidden = state === "unknown" && n === 0;
      say(entry.number, count(n));
      entry.button.setAttribute("aria-pressed", String(this.filter.state === state));
      entry.button.classList.toggle("none", n === 0);
    }
    for (const button of this.elements.views.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === this.view));
    }
    say(this.elements.matches, this.filter.text ? this.matchText() : "");
  }

  matchText() {
    let n = 0;
    for (const process of this.model.processes.values()) if (this.filter.shows(process)) n += 1;
    return counted(n, "match", "matches");
  }

  refreshChips() {
    const names = [...this.model.sworms.keys()].sort();
    if (this.filter.sworm && !names.includes(this.filter.sworm)) names.push(this.filter.sworm);
    for (const [name, chip] of this.chips) {
      if (name === "" || names.includes(name)) continue;
      chip.button.remove();
      this.chips.delete(name);
    }
    for (const name of ["", ...names]) this.refreshChip(name);
  }

  refreshChip(name) {
    const chip = this.chips.get(name) ?? this.addChip(name);
    say(chip.number, count(name === "" ? this.model.processes.size : (this.model.sworms.get(name) ?? 0)));
    chip.button.setAttribute("aria-pressed", String(this.filter.sworm === name));
  }

  addChip(name) {
    const number = h("span.number");
    const button = h("button.chip", { type: "button", onclick: () => this.change({ sworm: name }) }, name || "All sworms", " ", number);
    this.elements.sworms.append(button);
    const chip = { button, number };
    this.chips.set(name, chip);
    return chip;
  }

  addEntry(state) {
    const number = h("span.number", {}, "0");
    const toggle = () => this.change({ state: this.filter.state === state ? "" : state });
    const button = h("button.entry", { type: "button", onclick: toggle }, glyph(state), " ", stateWord(state), " ", number);
    this.elements.legend.append(button);
    this.entries.set(state, { button, number });
  }
}
