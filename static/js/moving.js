/* Moving what was dragged or marked on the map: asks, sends one request for each sworm, and follows each to its end in place.

   Law: marks are those of the address, the same as on the page of all processes. A move is confirmed once the stream shows the process
   where it should be, or the operation has succeeded. */

import { Action } from "./action.js";
import { request } from "./api.js";
import { h, say } from "./dom.js";
import { keyOf, partsOf } from "./model.js";
import { proposed, requests } from "./proposal.js";
import { counted } from "./words.js";

export class Moving {
  /** `elements`: bar, log. `page` has model, marks, present(), may(scope); `changed()` after the marks did. */
  constructor(elements, page, changed) {
    Object.assign(this, { ...elements, page });
    this.actions = [];
    this.told = h("span.marks-count", { "aria-live": "polite" });
    this.bar.append(
      this.told,
      h("button", { type: "button", onclick: () => this.propose(this.marked()) }, "Hand off the marked"),
      h("button", { type: "button", onclick: () => page.marks.clear() }, "Unmark all"),
    );
    page.marks.changed = () => {
      this.show();
      changed();
    };
    this.show();
  }

  show() {
    const { size } = this.page.marks;
    this.bar.hidden = size === 0 || !this.page.may("process:handoff");
    say(this.told, `${counted(size, "process", "processes")} marked`);
  }

  isMarked(key) {
    return this.page.marks.size > 0 && this.page.marks.has(partsOf(key).join("/"));
  }

  toggle(key) {
    this.page.marks.toggle(partsOf(key).join("/"), !this.isMarked(key));
  }

  /** The marked processes that are there. */
  marked() {
    const found = [];
    for (const [sworm, names] of this.page.marks.bySworm()) {
      for (const name of names) {
        const process = this.page.model.processes.get(keyOf(sworm, name));
        if (process !== undefined) found.push(process);
      }
    }
    return found;
  }

  /** What goes when this one is taken: all the marked if it is one of them, else itself. */
  taken(key) {
    return this.isMarked(key) ? this.marked() : [this.page.model.processes.get(key)].filter(Boolean);
  }

  async propose(processes, to = null) {
    if (processes.length === 0) return;
    const answer = await proposed(processes, this.page.present(), to);
    if (answer === null) return;
    for (const wanted of requests(processes, answer.to)) this.start(wanted, answer.to);
  }

  start({ sworm, names, path, body }, to) {
    const what = names.length === 1 ? `${sworm}/${names[0]}` : `${counted(names.length, "process", "processes")} of ${sworm}`;
    const from = new Map(names.map((name) => [name, this.process(sworm, name)?.node]));
    const there = (name) => {
      const process = this.process(sworm, name);
      return process?.state === "running" && (to === null ? process.node !== from.get(name) : process.node === to);
    };
    const action = new Action({
      title: `Hand off ${what}${to === null ? "" : ` to ${to}`}`,
      ask: () => request("POST", path, body),
      seen: () => action.operation?.state === "succeeded" || names.every(there),
      sight: () => (names.length === 1 ? `runs on ${this.process(sworm, names[0])?.node}` : `${counted(names.length, "process has", "processes have")} moved`),
    });
    this.actions.push(action);
    this.log.prepend(action.element);
    action.run();
  }

  process(sworm, name) {
    return this.page.model.processes.get(keyOf(sworm, name));
  }

  tick(now) {
    this.actions = this.actions.filter((action) => action.element.isConnected);
    for (const action of this.actions) action.tick(now);
  }
}
