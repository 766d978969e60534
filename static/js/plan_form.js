/* Asking for an operation on a whole sworm: migrate a node, rebalance, restart. The plan is looked at first.

   Law: nothing is asked for before its plan was shown, with the reasons and what stands in the way, and the button repeats the verb with
   the count. What was changed after the plan makes the plan void. */

import { request } from "./api.js";
import { mono, processLink } from "./cells.js";
import { h, say } from "./dom.js";
import { curl, sworm as command, twins } from "./twins.js";
import { counted } from "./words.js";

/** Moves of a plan that are listed. */
const LISTED = 50;

/** kind -> {verb, scope, fields}. */
const KINDS = {
  migrate: { verb: "Migrate", scope: "process:handoff", fields: ["from", "to", "max_per_minute"] },
  rebalance: { verb: "Rebalance", scope: "process:handoff", fields: ["max_per_minute", "dwell_s"] },
  restart: { verb: "Restart", scope: "process:write", fields: ["max_at_once", "max_per_minute"] },
};
const OPTIONS = { from: "--from", to: "--to", max_per_minute: "--max-per-minute", max_at_once: "--max-at-once", dwell_s: "--dwell-s" };

export class PlanForm {
  /** `may(scope)`; `nodes` and `sworms` are offered as they become known (`offer`). */
  constructor(may) {
    const kinds = Object.entries(KINDS).filter(([, kind]) => may(kind.scope));
    const select = (...options) => h("select", {}, ...options);
    this.kind = select(kinds.map(([name, { verb }]) => h("option", { value: name }, verb)));
    this.sworm = select();
    this.reason = h("input", { type: "text", maxlength: 1000, autocomplete: "off" });
    this.inputs = { from: select(), to: select(), max_per_minute: number(1, 60000), max_at_once: number(1, 64), dwell_s: number(0, 86400) };
    const words = { from: "Leave", to: "Go to", max_per_minute: "At most a minute", max_at_once: "At once", dwell_s: "Stay at least, s" };
    this.labels = Object.fromEntries(Object.entries(this.inputs).map(([name, input]) => [name, h("label.filter", {}, h("span", {}, words[name]), input)]));
    this.trouble = h("p.trouble", { role: "alert", hidden: true });
    this.plan = h("div.plan", { "aria-live": "polite" });
    const form = h(
      "form.filters", { onsubmit: (event) => this.preview(event), "aria-label": "Ask for an operation" },
      h("label.filter", {}, h("span", {}, "Do"), this.kind), h("label.filter", {}, h("span", {}, "Of sworm"), this.sworm), Object.values(this.labels),
      h("label.filter", {}, h("span", {}, "Why"), this.reason), h("button", { type: "submit" }, "Show the plan"),
    );
    form.addEventListener("input", () => this.changed());
    this.element = h("details.ask", { hidden: kinds.length === 0 }, h("summary", {}, "Ask for an operation"), form, this.trouble, this.plan);
    this.changed();
  }

  offer({ nodes, sworms }) {
    if (sworms) fill(this.sworm, sworms.map((name) => [name, name]));
    if (!nodes) return;
    const names = nodes.map((node) => node.name).filter((name) => !name.startsWith("observer")).sort();
    fill(this.inputs.from, names.map((name) => [name, name]));
    fill(this.inputs.to, [["", "wherever it fits"], ...names.map((name) => [name, name])]);
  }

  changed() {
    const { fields } = KINDS[this.kind.value] ?? { fields: [] };
    for (const [name, label] of Object.entries(this.labels)) label.hidden = !fields.includes(name);
    this.plan.replaceChildren();
    this.trouble.hidden = true;
  }

  get body() {
    const values = KINDS[this.kind.value].fields.map((name) => [name, this.inputs[name].value]).filter(([, value]) => value !== "");
    return Object.fromEntries(values.map(([name, value]) => [name, this.inputs[name].type === "number" ? Number(value) : value]));
  }

  async preview(event) {
    event.preventDefault();
    this.changed();
    const [kind, sworm, body] = [this.kind.value, this.sworm.value, this.body];
    try {
      const { moves } = await request("POST", `/sworms/${sworm}/${kind}`, { ...body, dry_run: true });
      this.show(kind, sworm, body, moves);
    } catch (problem) {
      this.complain(problem);
    }
  }

  show(kind, sworm, body, moves) {
    const verb = `${KINDS[kind].verb} ${sworm}`;
    const what = kind === "restart" ? counted(moves.length, "process begins anew", "processes begin anew") : counted(moves.length, "process moves", "processes move");
    if (moves.length === 0) return this.plan.replaceChildren(h("p.note", {}, "There is nothing to do: everything is where it should be."));
    const words = Object.entries(body).flatMap(([name, value]) => [OPTIONS[name], String(value)]);
    const go = h("button.primary", { type: "button", onclick: () => this.ask(kind, sworm, body, go) }, `${verb}: ${what}`);
    const head = ["Process", "From", "To", "Why", "In the way"].map((word) => h("th", { scope: "col", role: "columnheader" }, word));
    const more = moves.length > LISTED ? `, the first ${LISTED} are shown` : "";
    const table = h("table.list", { role: "table" }, h("caption", {}, `${what}${more}`), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)), h("tbody", { role: "rowgroup" }, moves.slice(0, LISTED).map(row)));
    const forms = [["REST", curl("POST", `/sworms/${sworm}/${kind}`, JSON.stringify(body))], ["Command", command(kind, sworm, ...words)]];
    this.plan.replaceChildren(h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": "Plan" }, table), twins(forms), h("div.buttons", {}, go));
    return undefined;
  }

  async ask(kind, sworm, body, button) {
    button.disabled = true; // one press, one operation
    try {
      const made = await request("POST", `/sworms/${sworm}/${kind}`, { ...body, ...(this.reason.value ? { reason: this.reason.value } : {}) });
      window.location.assign(`/operations/${made.id}`);
    } catch (problem) {
      button.disabled = false;
      this.complain(problem);
    }
  }

  complain(problem) {
    say(this.trouble, `Not done: ${problem.message}`);
    this.trouble.hidden = false;
  }
}

function row({ sworm, name, from, to, why, problem }) {
  const cells = [["Process", processLink(sworm, name)], ["From", mono(from)], ["To", to === null ? "as placed" : mono(to)], ["Why", why ?? ""], ["In the way", problem ?? ""]];
  return h("tr", { role: "row" }, cells.map(([head, value]) => h("td", { role: "cell", "data-head": head }, value)));
}

function number(min, max) {
  return h("input", { type: "number", min, max, step: "any" });
}

function fill(select, options) {
  const chosen = select.value;
  const shown = JSON.stringify(options);
  if (shown === select.dataset.offered) return;
  select.dataset.offered = shown;
  select.replaceChildren(...options.map(([value, word]) => h("option", { value }, word)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}
