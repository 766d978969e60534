/* One thing that was asked of the cluster, shown from request to confirmation, in place.

   Law: "accepted" is the server's word, "confirmed" is what the stream (or the operation) shows; neither is assumed. A failure
   stays until it is dismissed. */

import { request } from "./api.js";
import { h, say } from "./dom.js";
import { clock, count, span } from "./words.js";

/** ms between two looks at an operation. */
const LOOK = 600;
/** ms after which an unconfirmed action says that it is still waiting. */
const SLOW = 10000;

const ENDED = new Set(["succeeded", "failed", "cancelled"]);

export class Action {
  /**
   * `title` is what was asked; `ask()` sends it; `seen()` is true once the stream shows it, and `sight()` says it in words.
   * `changed()` is called at each step.
   */
  constructor({ title, ask, seen, sight }) {
    Object.assign(this, { title, ask, seen, sight });
    this.steps = {};
    this.operation = null;
    this.problem = null;
    this.element = this.build();
  }

  build() {
    this.lines = {};
    const list = h("ol.steps");
    for (const step of ["requested", "accepted", "confirmed"]) {
      this.lines[step] = h("li", { "data-step": step }, step);
      list.append(this.lines[step]);
    }
    this.trouble = h("p.trouble", { hidden: true });
    this.dismiss = h("button.quiet", { type: "button", hidden: true, onclick: () => this.element.remove() }, "Dismiss");
    return h("div.action", { role: "status" }, h("p.action-title", {}, this.title), list, this.trouble, this.dismiss);
  }

  async run() {
    this.mark("requested");
    try {
      const answer = await this.ask();
      this.mark("accepted");
      if (answer?.id) this.lines.accepted.append(" · ", h("a", { href: `/operations/${answer.id}` }, `operation ${answer.id.slice(0, 8)}`));
      if (answer?.id && answer.kind) this.watch(answer);
      this.check();
    } catch (problem) {
      this.fail(problem);
    }
  }

  mark(step, note = "") {
    if (this.steps[step]) return;
    this.steps[step] = Date.now();
    const took = step === "requested" ? clock(this.steps[step]) : `after ${span(this.steps[step] - this.steps.requested)}`;
    say(this.lines[step], [`${step} ${took}`, note].filter(Boolean).join(" · "));
    this.lines[step].classList.add("done");
  }

  /** The model changed: is it there? */
  check() {
    if (!this.steps.accepted || this.over || !this.seen()) return;
    this.mark("confirmed", this.sight());
    this.end();
  }

  get over() {
    return Boolean(this.steps.confirmed || this.problem);
  }

  /** Time passed: say so when it takes long. */
  tick(now) {
    this.check();
    if (this.over || !this.steps.requested || now - this.steps.requested < SLOW) return;
    say(this.lines.confirmed, `not confirmed yet, ${span(now - this.steps.requested)} after the request`);
  }

  async watch(operation) {
    this.operation = operation;
    while (!this.over && !ENDED.has(this.operation.state)) {
      await new Promise((done) => window.setTimeout(done, LOOK));
      try {
        this.operation = await request("GET", `/operations/${operation.id}`);
      } catch {
        return; // the stream alone will tell
      }
      this.progress();
    }
    if (this.over) return;
    if (this.operation.state === "succeeded") this.check();
    else this.fail(ending(this.operation));
  }

  progress() {
    const { done, total } = this.operation.progress ?? {};
    if (this.over || !total) return;
    const seconds = (Date.now() - this.steps.accepted) / 1000;
    const rate = done > 0 && seconds >= 1 ? ` · ${count(Math.round(done / seconds))} a second` : "";
    say(this.lines.confirmed, `${count(done)} of ${count(total)} done${rate}`);
  }

  fail(problem) {
    this.problem = problem;
    say(this.trouble, `Not done: ${problem.message}${problem.code ? ` (${problem.code})` : ""}`);
    this.trouble.hidden = false;
    this.end();
  }

  end() {
    this.dismiss.hidden = false;
  }
}

/** Why an operation did not succeed. */
function ending({ state, problem }) {
  if (problem === null) return { message: `the operation was ${state}` };
  return { message: problem.detail || problem.title || `the operation ${state}`, code: problem.code };
}
