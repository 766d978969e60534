/* The drawer of one node: its figures, its processes by state and sworm, what can be done.

   Law: as process_panel.js. A figure that the node did not send is not shown. */

import { Action } from "./action.js";
import { request } from "./api.js";
import { confirmed } from "./confirm.js";
import { glyph, h, say, when } from "./dom.js";
import { Facts } from "./facts.js";
import { curl, sworm as command, twins } from "./twins.js";
import { bytes, count, counted, listed, moment, shapeOf, stateWord } from "./words.js";

const FIGURES = {
  cpu: ["CPU", (n) => `${n.toFixed(n < 10 ? 1 : 0)} %`],
  rss: ["Memory", bytes],
  memory: ["Memory", bytes],
  loop_lag_ms: ["Loop lag", (n) => `${n.toFixed(1)} ms`],
};

export class NodePanel {
  /** `page` as for a process, and acknowledge(node). */
  constructor(page, name) {
    Object.assign(this, { page, name });
    this.actions = [];
    this.build();
    this.refresh();
    this.fetch();
  }

  get node() {
    return this.page.model.nodes.get(this.name);
  }

  build() {
    this.state = h("p.panel-state");
    this.trouble = h("p.note", { hidden: true });
    this.bar = h("div.buttons");
    this.log = h("div.actions-log");
    this.facts = new Facts();
    this.groups = h("ul.groups");
    this.element = h(
      "div.panel",
      {},
      h("p.panel-kind", {}, "Node"),
      h("h2.panel-title", {}, h("span.mono", {}, this.name)),
      this.state,
      this.trouble,
      this.bar,
      this.log,
      this.facts.element,
      h("h3", {}, "What runs here"),
      this.groups,
    );
  }

  refresh() {
    const node = this.node ?? this.last;
    this.trouble.hidden = this.node !== undefined;
    if (this.node === undefined) say(this.trouble, node ? "It is no longer part of the cluster." : "No node of this name is known.");
    if (node === undefined) return;
    this.last = node;
    this.describe({ ...this.details, ...node });
    this.showButtons(node);
    this.showGroups();
    for (const action of this.actions) action.tick(Date.now());
  }

  describe(node) {
    const words = [node.status, node.cordoned && node.status === "alive" ? "cordoned: takes no new processes" : ""];
    say(this.state, words.filter(Boolean).join(", "));
    this.state.dataset.status = node.status;
    this.facts.set("Processes", count(this.page.model.on(this.name).size));
    this.facts.set("Incarnation", String(node.incarnation ?? ""), { make: () => h("span.mono", {}, String(node.incarnation)), copy: String(node.incarnation) });
    this.facts.set("Mesh URL", node.url ?? "", { make: () => h("span.mono", {}, node.url), copy: node.url });
    const seen = moment(node.last_seen);
    this.facts.set("Last seen", seen === null ? "" : String(seen), { make: () => when(seen) });
    this.facts.set("Hosts", (node.sworms ?? []).map((sworm) => (sworm === "*" ? "every sworm" : sworm)).join(", "));
    this.facts.set("Labels", Object.entries(node.labels ?? {}).map(([k, v]) => `${k}=${v}`).join(", "));
    this.facts.set("Capacity", node.capacity === undefined ? "" : String(node.capacity));
    for (const [name, value] of Object.entries(node.stats ?? {})) this.figure(name, value);
  }

  figure(name, value) {
    if (value === null || typeof value === "object") return;
    const [term, say] = FIGURES[name] ?? [name.replaceAll("_", " "), String];
    this.facts.set(term, typeof value === "number" ? say(value) : String(value));
  }

  showGroups() {
    const tally = new Map();
    for (const process of this.page.model.on(this.name).values()) {
      const name = `${process.sworm}\u0000${process.state}`;
      tally.set(name, (tally.get(name) ?? 0) + 1);
    }
    const lines = [...tally].sort(([a], [b]) => (a < b ? -1 : 1));
    const shown = JSON.stringify(lines);
    if (shown === this.groupsShown) return;
    this.groupsShown = shown;
    this.groups.replaceChildren(...(lines.length ? lines.map(groupLine) : [h("li.faint", {}, "Nothing.")]));
  }

  // --- what is done ------------------------------------------------------------------------------------------------------

  showButtons(node) {
    const shown = `${node.status} ${node.cordoned}`;
    if (shown === this.buttonsShown) return;
    this.buttonsShown = shown;
    this.bar.replaceChildren(...this.buttonsFor(node));
  }

  buttonsFor(node) {
    const button = (text, act, kind = "button") => h(kind, { type: "button", onclick: act }, text);
    if (!this.page.may("node:drain")) {
      return [h("p.note.no-rights", {}, "You may look, not act: draining and cordoning need the operator role. An admin can give it to you.")];
    }
    const forget = button(`Forget ${this.name}`, () => this.forget(), "button.danger");
    if (node.status === "left") return [forget];
    if (node.status === "dead") return [button("Acknowledge", () => this.page.acknowledge(this.name)), forget];
    const cordon = node.cordoned ? button(`Uncordon ${this.name}`, () => this.cordon(false)) : button(`Cordon ${this.name}`, () => this.cordon(true));
    return [cordon, button(`Drain ${this.name}`, () => this.drain(), "button.danger"), this.twins(node.cordoned ? "uncordon" : "cordon")];
  }

  /** What the buttons do, for scripts. */
  twins(verb) {
    const of = (what, word) => [[`${word}, over REST`, curl("POST", `/nodes/${this.name}/${what}`)], ["as a command", command(what, this.name)]];
    return twins([...of(verb, verb === "cordon" ? "Cordon" : "Uncordon"), ...of("drain", "Drain")]);
  }

  start(parts) {
    const action = new Action(parts);
    this.actions.push(action);
    this.log.prepend(action.element);
    action.run();
  }

  cordon(on) {
    const verb = on ? "Cordon" : "Uncordon";
    this.start({
      title: `${verb} ${this.name}`,
      ask: () => request("POST", `/nodes/${this.name}/${verb.toLowerCase()}`, {}),
      seen: () => Boolean(this.node?.cordoned) === on,
      sight: () => (on ? "takes no new processes" : "takes new processes again"),
    });
  }

  async drain() {
    const here = this.page.model.on(this.name).size;
    if (!(await confirmed(`Drain ${this.name}`, await this.planned(here), { harmful: true }))) return;
    this.start({
      title: `Drain ${this.name}: ${counted(here, "process moves", "processes move")}`,
      ask: () => request("POST", `/nodes/${this.name}/drain`, {}),
      seen: () => this.page.model.on(this.name).size === 0,
      sight: () => "nothing is left on it",
    });
  }

  /** What a drain would do, asked of the server before anything happens. */
  async planned(here) {
    const moves = `${counted(here, "process moves", "processes move")} away from ${this.name}, which then leaves.`;
    try {
      const plan = await request("POST", `/nodes/${this.name}/drain`, { dry_run: true });
      return plan.moves.length ? planOf(plan.moves) : `Nothing runs on ${this.name}: it only leaves.`;
    } catch (problem) {
      return `${moves} Where each would go cannot be told: ${problem.message}`;
    }
  }

  forget() {
    this.start({
      title: `Forget ${this.name}`,
      ask: async () => {
        await request("DELETE", `/nodes/${this.name}`);
        this.page.forgetNode(this.name); // the stream tells of nodes that are there, not of those that are forgotten
      },
      seen: () => this.node === undefined,
      sight: () => "it is out of the list",
    });
  }

  async fetch() {
    try {
      this.details = await request("GET", `/nodes/${this.name}`);
      this.refresh();
    } catch {
      // The stream's item stands; REST only adds to it.
    }
  }

  closed() {}
}

/** Moves of a plan in words: how many go where, which begin afresh, and each that cannot go, with its reason. */
function planOf(moves) {
  const [stuck, going] = [moves.filter((move) => move.problem), moves.filter((move) => !move.problem)];
  const tally = new Map();
  for (const { to } of going) tally.set(to ?? "", (tally.get(to ?? "") ?? 0) + 1);
  const where = [...tally].sort().map(([node, n]) => (node ? `${count(n)} to ${node}` : `${count(n)} wherever the agents choose`));
  const afresh = going.filter((move) => move.why.startsWith("it starts afresh")).length;
  const lines = stuck.map(({ sworm, name, problem }) => h("li", {}, h("span.mono", {}, `${sworm}/${name}`), `: ${problem}`));
  return h(
    "div", {},
    h("p", {}, going.length ? `${counted(going.length, "process moves", "processes move")}: ${listed(where)}.` : "Nothing can move."),
    afresh ? h("p", {}, `${counted(afresh, "begins", "begin")} afresh there: the sworm does not hand off.`) : null,
    stuck.length ? h("p.trouble", {}, `${counted(stuck.length, "process has", "processes have")} nowhere to go:`) : null,
    stuck.length ? h("ul.planned", { tabindex: 0, role: "group", "aria-label": "Processes that cannot move" }, lines) : null,
  );
}

function groupLine([name, n]) {
  const [sworm, state] = name.split("\u0000");
  return h("li", {}, glyph(shapeOf(state)), h("span", {}, `${count(n)} ${stateWord(state)}`), h("span.mono", {}, sworm));
}
