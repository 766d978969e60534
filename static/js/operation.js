/* The page of one operation: how far it is, each of its processes, and the way to stop it.

   Law: what REST says, read again while it goes on; nothing is assumed done. Processes are read a page at a time in the order of their
   turns. What cannot be read is said, and what was shown stays. */

import { Action } from "./action.js";
import { listPath, request } from "./api.js";
import { mono, processLink } from "./cells.js";
import { follow } from "./cluster.js";
import { confirmed } from "./confirm.js";
import { copyButton, glyph, h, say, tellTimes, when } from "./dom.js";
import { Facts } from "./facts.js";
import { ENDED, STEP_STATES, again, nameOf, progressWords, scopeOf, sentence } from "./operation_words.js";
import { curl, sworm as command, twins } from "./twins.js";
import { counted, moment } from "./words.js";

/** ms between two looks while it goes on, and at its processes. */
const LOOK = 500;
const PROCESSES = 1000;
/** Processes a page. */
const PAGE = 100;

const HEADS = ["State", "Process", "From", "To", "Asked", "Last change", "Why", "What came of it"];

const rights = new Set(document.body.dataset.scopes.split(" "));

class OperationPage {
  constructor(root) {
    this.id = root.dataset.id;
    this.rows = new Map();
    this.steps = [];
    this.limit = PAGE;
    this.operation = null;
    this.build(root);
    this.follow();
    this.followSteps();
  }

  build(root) {
    this.trouble = h("p.trouble", { role: "alert", hidden: true });
    this.state = h("p.operation-state", { "aria-live": "polite" });
    this.bar = h("progress.operation-bar", { "aria-label": "Progress", max: 1, value: 0 });
    this.words = h("p.operation-progress");
    this.problem = h("p.trouble", { hidden: true });
    this.facts = new Facts();
    this.cancel = h("button.danger", { type: "button", hidden: true, onclick: () => this.stop() }, "Cancel");
    this.log = h("div.actions-log");
    this.line = h("ol.events");
    this.twins = h("div");
    this.caption = h("caption", {}, "Reading its processes");
    this.body = h("tbody", { role: "rowgroup" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.grow() }, "Show more");
    this.only = h("select", { onchange: () => this.filter() }, h("option", { value: "" }, "all"), ...Object.entries(STEP_STATES).map(([state, [, word]]) => h("option", { value: state }, word)));
    this.only.value = new URLSearchParams(window.location.search).get("state") ?? "";
    const head = HEADS.map((word) => h("th", { scope: "col", role: "columnheader" }, word));
    const table = h("table.list", { role: "table" }, this.caption, h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)), this.body);
    root.append(
      this.trouble,
      h("section.operation", { "aria-label": "Progress" }, this.state, this.bar, this.words, this.problem, h("div.buttons", {}, this.cancel), this.log),
      h("div.operation-sides", {}, h("section", {}, h("h2", {}, "What was asked"), this.facts.element, this.twins), h("section", {}, h("h2", {}, "What became of it"), this.line)),
      h("h2", {}, "Processes"),
      h("label.filter", {}, "Show ", this.only),
      h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": "Processes of the operation" }, table),
      h("p.pager", {}, this.more),
    );
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  async follow() {
    for (;;) {
      if (document.visibilityState === "visible") await this.look();
      if (this.over) return;
      await new Promise((done) => window.setTimeout(done, LOOK));
    }
  }

  get over() {
    return this.operation !== null && ENDED.has(this.operation.state);
  }

  async look() {
    try {
      this.operation = await request("GET", `/operations/${this.id}?processes=0`);
      this.trouble.hidden = true;
      this.show();
    } catch (problem) {
      this.complain("The operation", problem);
    }
  }

  async followSteps() {
    for (;;) {
      const last = this.over; // a look that begins after the end sees the end of every process
      if (document.visibilityState === "visible") await this.lookAtSteps();
      if (last) return;
      await new Promise((done) => window.setTimeout(done, PROCESSES));
    }
  }

  async lookAtSteps() {
    const state = this.only.value;
    try {
      const filters = { limit: Math.min(1000, this.limit), ...(state ? { state } : {}) };
      const { items, next_cursor: next } = await request("GET", listPath(`/operations/${this.id}/steps`, filters));
      if (state !== this.only.value) return;
      this.steps = items;
      this.more.hidden = next === null || this.limit >= 1000;
      this.showSteps(next !== null);
    } catch (problem) {
      this.complain("Its processes", problem);
    }
  }

  complain(what, problem) {
    say(this.trouble, problem.code === "unknown_operation" ? "There is no such operation, or not for you." : `${what} cannot be read: ${problem.message} What stands below is from before.`);
    this.trouble.hidden = false;
  }

  grow() {
    this.limit += PAGE;
    this.lookAtSteps();
  }

  filter() {
    const url = new URL(window.location.href);
    if (this.only.value) url.searchParams.set("state", this.only.value);
    else url.searchParams.delete("state");
    window.history.replaceState(null, "", url);
    this.lookAtSteps();
  }

  // --- showing --------------------------------------------------------------------------------------------------------

  show() {
    const { operation } = this;
    const now = Date.now();
    const name = nameOf(operation);
    say(document.getElementById("title"), name);
    const { done, total } = operation.progress;
    document.title = `${this.over ? operation.state : `${done} of ${total}`}: ${name} · Sworm`;
    say(this.state, sentence(operation, now));
    this.state.dataset.state = operation.cancelling ? "cancelling" : operation.state;
    Object.assign(this.bar, { max: Math.max(1, total), value: total === 0 && this.over ? 1 : done });
    say(this.words, progressWords(operation, now));
    this.showProblem(operation);
    this.showFacts(operation);
    this.cancel.hidden = this.over || operation.cancelling || !rights.has(scopeOf(operation.kind));
    this.showLine(operation.steps);
  }

  showProblem({ problem, state }) {
    this.problem.hidden = problem === null || state === "succeeded";
    if (problem === null) return;
    const left = problem.left_behind ?? [];
    say(this.problem, `${problem.detail} (${problem.code})${left.length > 1 ? `. Left behind: ${left.join(", ")}` : ""}`);
  }

  showFacts({ asked, requested_by: by, reason, created_at: at, kind }) {
    this.facts.set("Kind", kind);
    this.facts.set("Asked by", by);
    this.facts.set("Why", reason || "no reason was given");
    this.facts.set("Asked", at, { make: () => when(moment(at)) });
    this.facts.set("From", asked.from ?? "");
    this.facts.set("To", asked.to ?? (kind === "migrate" || kind === "handoff" ? "wherever placement wants it" : ""));
    this.facts.set("At most", asked.max_per_minute ? `${asked.max_per_minute} a minute` : "");
    this.facts.set("At once", asked.max_at_once ? String(asked.max_at_once) : "");
    this.facts.set("Dwell", asked.dwell_s === undefined ? "" : `${asked.dwell_s} s`);
    this.facts.set("Deadline", asked.deadline_s ? `${asked.deadline_s} s` : "");
  }

  showLine(steps) {
    const shown = JSON.stringify(steps);
    if (shown === this.lineShown) return;
    this.lineShown = shown;
    this.line.replaceChildren(...steps.map((step) => h("li", {}, h("span.event-what", {}, step.text), " ", when(moment(step.at)))));
  }

  showTwins() {
    const same = again(this.operation, this.steps.map((step) => step.name));
    const cancel = `/operations/${this.id}/cancel`;
    const forms = [
      ...(same ? [["Ask for the same, over REST", curl("POST", same.path, JSON.stringify(same.body))], ["as a command", command(...same.words)]] : []),
      ["Follow it", command("operations", this.id, "--follow")],
      ...(this.cancel.hidden ? [] : [["Cancel it, over REST", curl("POST", cancel)], ["as a command", command("operations", "cancel", this.id)]]),
    ];
    const shown = JSON.stringify(forms);
    if (shown === this.twinsShown) return;
    this.twinsShown = shown;
    this.twins.replaceChildren(twins(forms));
  }

  showSteps(more) {
    const wanted = new Set(this.steps.map((step) => step.number));
    for (const [number, row] of this.rows) {
      if (wanted.has(number)) continue;
      row.element.remove();
      this.rows.delete(number);
    }
    this.steps.forEach((step, i) => {
      const element = this.row(step);
      if (this.body.children[i] !== element) this.body.insertBefore(element, this.body.children[i] ?? null);
    });
    const none = this.only.value ? "No process is in this state" : "It has no processes: there was nothing to do";
    say(this.caption, this.steps.length ? `${counted(this.steps.length, "process", "processes")}${more ? " shown, there are more" : ""}` : none);
    if (this.operation !== null) this.showTwins();
  }

  row(step) {
    const shown = JSON.stringify(step);
    const before = this.rows.get(step.number);
    if (before?.shown === shown) return before.element;
    const element = before?.element ?? h("tr", { role: "row" });
    element.replaceChildren(...cells(step));
    this.rows.set(step.number, { element, shown });
    return element;
  }

  // --- doing ----------------------------------------------------------------------------------------------------------

  async stop() {
    const { progress, kind } = this.operation;
    const left = counted(progress.total - progress.done, "process is not done", "processes are not done");
    const verb = `Cancel ${kind} of ${this.operation.target}`;
    if (!(await confirmed(verb, `${left}. What is under way finishes; nothing more is begun, and nothing is moved back.`, { harmful: true }))) return;
    const action = new Action({
      title: verb,
      ask: () => request("POST", `/operations/${this.id}/cancel`, {}).then(() => null),
      seen: () => this.over,
      sight: () => sentence(this.operation, Date.now()).toLowerCase(),
    });
    this.log.prepend(action.element);
    this.action = action;
    action.run();
  }

  tick() {
    tellTimes(Date.now());
    this.action?.tick(Date.now());
  }
}

function cells({ state, sworm, name, from, to, attempts, at, why, detail, code }) {
  const [shape, word] = STEP_STATES[state] ?? ["unknown", state];
  const times = attempts === 0 ? "not yet" : attempts === 1 ? "once" : `${attempts} times`;
  const values = [
    h("span.state", {}, glyph(shape), word),
    h("span", {}, processLink(sworm, name), " ", copyButton(name, "name")),
    mono(from ?? ""),
    to === null ? "as placed" : mono(to),
    times,
    attempts || state !== "waiting" ? when(moment(at)) : "",
    why,
    code && state !== "done" ? `${detail} (${code})` : detail,
  ];
  return values.map((value, i) => h(i === 7 ? "td.wide" : "td", { role: "cell", "data-head": HEADS[i] }, value));
}

const page = new OperationPage(document.getElementById("operation"));
window.setInterval(() => page.tick(), 1000);
follow(document.getElementById("cluster"));
