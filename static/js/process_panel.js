/* The drawer of one process: what it is, what happened to it, what can be done.

   Law: the stream's item is the truth about pid, node, epoch and state; REST adds what the stream leaves out. A process that goes away
   while it is looked at stays readable, and says that it is gone. */

import { Action } from "./action.js";
import { listPath, processPath, request } from "./api.js";
import { processPage } from "./address.js";
import { confirmed } from "./confirm.js";
import { copyButton, glyph, h, say, when } from "./dom.js";
import { Facts } from "./facts.js";
import { cause, told } from "./history.js";
import { keyOf } from "./model.js";
import { offerNodes, takers } from "./offer.js";
import { curl, sworm as command, twins } from "./twins.js";
import { isolationWord, moment, shapeOf, stateWord } from "./words.js";

/** Events shown. */
const EVENTS = 20;
/** ms between two fetches of details while the process keeps changing. */
const PAUSE = 400;

export class ProcessPanel {
  /** `page` has model, may(scope), openNode(name), present() -> live node items. */
  constructor(page, sworm, name) {
    Object.assign(this, { page, sworm, name });
    this.key = keyOf(sworm, name);
    this.actions = [];
    this.shownPid = null;
    this.build();
    this.refresh();
    this.fetch();
  }

  get process() {
    return this.page.model.processes.get(this.key);
  }

  build() {
    this.state = h("p.panel-state");
    this.gone = h("p.note", { hidden: true });
    this.facts = new Facts();
    this.why = h("div.why", { hidden: true });
    this.events = h("ol.events");
    this.eventsNote = h("p.faint", {}, "Loading events");
    this.log = h("div.actions-log");
    this.same = h("div");
    this.element = h(
      "div.panel",
      {},
      h("p.panel-kind", {}, "Process"),
      h("h2.panel-title", {}, h("span.mono", {}, this.name), " ", copyButton(this.name, "name")),
      this.state,
      this.gone,
      this.buttons(),
      this.same,
      this.log,
      this.facts.element,
      h("h3", {}, "What happened"),
      h("p", {}, h("a", { href: processPage(this.sworm, this.name) }, "Its whole life, and a box to call it from")),
      this.why,
      this.eventsNote,
      this.events,
    );
  }

  buttons() {
    const parts = [];
    if (this.page.may("process:handoff")) {
      this.target = h("select", { "aria-label": "Hand off to node", onchange: () => this.showTwins() });
      this.move = h("button", { type: "button", onclick: () => this.handOff() }, "Hand off");
      parts.push(h("span.joined", {}, this.move, this.target));
    }
    if (this.page.may("process:write")) {
      parts.push(h("button", { type: "button", onclick: () => this.restart() }, "Restart"));
      parts.push(h("button.danger", { type: "button", onclick: () => this.unregister() }, "Unregister"));
    }
    if (parts.length > 0) return (this.bar = h("div.buttons", {}, parts));
    this.bar = null;
    return h("p.note.no-rights", {}, "You may look, not act: handing off, restarting and unregistering need the operator role. An admin can give it to you.");
  }

  // --- what is shown ----------------------------------------------------------------------------------------------------

  /** The model changed, or a second passed. */
  refresh() {
    const process = this.process;
    const known = process ?? this.last;
    this.gone.hidden = process !== undefined;
    if (process === undefined) {
      say(this.gone, known ? "It is gone: nothing runs under this name any more. This is what it last was." : "Nothing runs under this name.");
    }
    if (this.bar) this.bar.hidden = this.same.hidden = process === undefined;
    if (known !== undefined) this.describe(known, process !== undefined);
    for (const action of this.actions) action.tick(Date.now());
  }

  describe(process, alive) {
    this.last = process;
    const word = alive ? `${stateWord(process.state)} on ${process.node}` : `last seen ${stateWord(process.state)} on ${process.node}`;
    if (this.stateShown !== word) {
      this.stateShown = word;
      this.state.replaceChildren(glyph(alive ? shapeOf(process.state) : "unknown"), word);
    }
    const open = () => h("button.link", { type: "button", onclick: () => this.page.openNode(process.node) }, process.node);
    this.facts.set("Sworm", process.sworm);
    this.facts.set("Node", process.node, { make: open });
    this.facts.set("pid", process.pid, { make: () => h("span.mono", {}, process.pid), copy: process.pid });
    this.facts.set("Epoch", String(process.epoch), { make: () => h("span.mono", {}, String(process.epoch)), copy: String(process.epoch) });
    this.describeRest({ ...this.details, ...process });
    this.fillTargets(process);
    if (process.pid !== this.shownPid) this.pidChanged(process.pid);
  }

  describeRest(item) {
    const started = moment(item.started_at);
    this.facts.set("Running since", started === null ? "" : String(started), { make: () => when(started) });
    this.facts.set("Restarts", item.restarts === undefined ? "" : String(item.restarts));
    this.facts.set("Target", item.target ?? "", { make: () => h("span.mono", {}, item.target), copy: item.target });
    this.facts.set("Arguments", shownJson(item.args), { make: () => h("code", {}, shownJson(item.args)) });
    this.facts.set("Isolation", item.isolation === undefined ? "" : isolationWord(item.isolation));
    this.facts.set("Groups", (item.groups ?? []).join(", "));
    this.facts.set("Meta", shownJson(item.meta), { make: () => h("code", {}, shownJson(item.meta)) });
  }

  fillTargets(process) {
    if (!this.target) return;
    const names = takers(this.page.present(), process.node);
    if (!offerNodes(this.target, names)) return;
    this.move.disabled = this.target.disabled = names.length === 0;
    this.showTwins();
    this.move.title = names.length === 0 ? "No other node can take it" : "";
  }

  pidChanged(pid) {
    const first = this.shownPid === null;
    this.shownPid = pid;
    if (!first) this.fetchSoon();
  }

  // --- what is fetched ---------------------------------------------------------------------------------------------------

  fetchSoon() {
    if (this.waiting) return;
    this.waiting = window.setTimeout(() => {
      this.waiting = 0;
      this.fetch();
    }, PAUSE);
  }

  async fetch() {
    const there = this.process !== undefined || this.last === undefined;
    const [details, events] = await Promise.allSettled([
      there ? request("GET", processPath(this.sworm, this.name)) : this.details,
      request("GET", listPath("/events", { sworm: this.sworm, name: this.name, order: "desc", limit: EVENTS })),
    ]);
    if (details.status === "fulfilled") this.details = details.value;
    this.showEvents(events);
    this.refresh();
  }

  showEvents({ status, value, reason }) {
    if (status === "rejected") {
      say(this.eventsNote, `The history cannot be read: ${reason.message}`);
      return;
    }
    const events = value.items.map(told);
    say(this.eventsNote, events.length ? "" : "Nothing is recorded about it yet.");
    this.events.replaceChildren(...events.map(eventLine));
    this.showCause(cause(events));
  }

  showCause(event) {
    this.why.hidden = event === undefined;
    if (event === undefined) return;
    const detail = event.detail ? h("pre", { tabindex: 0, role: "group", "aria-label": "Detail" }, event.detail) : null;
    this.why.replaceChildren(...[h("p", {}, "Why this incarnation started: ", h("b", {}, event.what), ", ", when(event.at)), detail].filter(Boolean));
  }

  // --- what is done ------------------------------------------------------------------------------------------------------

  start(parts) {
    const action = new Action(parts);
    this.actions.push(action);
    this.log.prepend(action.element);
    action.run().then(() => this.fetchSoon());
  }

  async unregister() {
    const { sworm, name } = this;
    if (!(await confirmed(`Unregister ${name}`, `1 process of ${sworm} stops, its state is lost and its name is free.`, { harmful: true }))) return;
    this.start({
      title: `Unregister ${name}`,
      ask: () => request("DELETE", processPath(sworm, name)),
      seen: () => this.process === undefined,
      sight: () => "the name is free",
    });
  }

  async restart() {
    const before = this.process?.pid;
    if (!(await confirmed(`Restart ${this.name}`, `1 process of ${this.sworm} begins anew, without its state.`, { harmful: true }))) return;
    this.start({
      title: `Restart ${this.name}`,
      ask: () => request("POST", `${processPath(this.sworm, this.name)}/restart`, {}),
      seen: () => this.process !== undefined && this.process.pid !== before && this.process.state === "running",
      sight: () => `runs as ${this.process.pid}`,
    });
  }

  /** What the buttons do, for scripts. */
  showTwins() {
    const { sworm, name } = this;
    const path = processPath(sworm, name);
    const to = this.target?.value;
    const handOff = [["Hand off, over REST", curl("POST", `${path}/handoff`, JSON.stringify({ to }))], ["as a command", command("handoff", sworm, name, "--to", to)]];
    const rest = [
      ["Restart, over REST", curl("POST", `${path}/restart`)], ["as a command", command("restart", sworm, name)],
      ["Unregister, over REST", curl("DELETE", path)], ["as a command", command("unregister", sworm, name)],
    ];
    const forms = [...(to ? handOff : []), ...(this.page.may("process:write") ? rest : [])];
    const open = this.same.firstChild?.open ?? false;
    const fold = twins(forms);
    fold.open = open;
    this.same.replaceChildren(fold);
  }

  handOff() {
    const to = this.target.value;
    this.start({
      title: `Hand off ${this.name} to ${to}`,
      ask: () => request("POST", `${processPath(this.sworm, this.name)}/handoff`, { to }),
      seen: () => this.process?.node === to && this.process.state === "running",
      sight: () => `runs on ${to} as ${this.process.pid}`,
    });
  }

  closed() {
    window.clearTimeout(this.waiting);
  }
}

function shownJson(value) {
  if (value === undefined || value === null || Object.keys(value).length === 0) return "";
  return JSON.stringify(value);
}

function eventLine(event) {
  const first = event.detail.split("\n")[0].slice(0, 160);
  return h("li", {}, h("span.event-what", {}, `${event.what}${event.where}`), " ", when(event.at), first ? h("span.event-detail", {}, first) : null);
}
