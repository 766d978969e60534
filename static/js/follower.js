/* Following the history: asks for what came after the last revision seen, and says how the asking goes.

   Law: nothing is told twice or left out: the next look begins after the revision of the last event, and a look that did not reach the end
   goes on by its cursor. */

import { listPath, request } from "./api.js";

/** ms between two looks: the longest that somebody who follows waits. */
const LOOK = 1000;
/** Events in one look. */
const MOST = 500;

export class Follower {
  /** `on`: filters() -> parameters, came(events), state(). */
  constructor(on) {
    this.on = on;
    this.state = "off";
    this.run = 0;
  }

  start() {
    if (this.state === "off") this.restart();
  }

  restart() {
    this.run += 1;
    this.enter("opening");
    this.follow(this.run);
  }

  stop() {
    this.run += 1;
    this.enter("off");
  }

  enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.on.state();
  }

  async follow(run) {
    let since = null;
    while (run === this.run) {
      try {
        since = since === null ? await this.newest() : await this.look(since, run);
        if (run === this.run) this.enter("live");
      } catch {
        if (run === this.run) this.enter("lost");
      }
      await new Promise((done) => window.setTimeout(done, LOOK));
    }
  }

  /** The revision at which following begins. */
  async newest() {
    return (await request("GET", listPath("/events", { limit: 1 }))).revision;
  }

  async look(since, run) {
    let cursor = null;
    let last = since;
    do {
      const page = await request("GET", listPath("/events", { ...this.on.filters(), since, limit: MOST, ...(cursor ? { cursor } : {}) }));
      if (run !== this.run) return last;
      if (page.items.length) this.on.came(page.items);
      last = page.items.at(-1)?.revision ?? last;
      cursor = page.next_cursor;
    } while (cursor !== null);
    return last;
  }
}
