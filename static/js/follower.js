/* Following the history by the server's event stream, and saying how that goes.

   Law: nothing is told twice or left out while the server keeps it: a stream that broke off is taken up after the last event. One that is
   refused is asked for again after a pause; why it was refused is asked of the list, since a stream does not say. */

import { listPath, request } from "./api.js";

/** ms in which events that come together are told together. */
const GATHER = 200;
/** ms until a refused stream is asked for again. */
const AGAIN = 1000;

export class Follower {
  /** `on`: filters() -> parameters, came(events), state(). */
  constructor(on) {
    this.on = on;
    this.state = "off";
    this.last = null; // the id of the last event: its revision
    this.asked = "";
  }

  /** Follow what the filters ask for now; a stream that does so already goes on. */
  start() {
    const asked = JSON.stringify(this.on.filters());
    if (this.state !== "off" && asked === this.asked) return;
    this.stop();
    this.asked = asked;
    this.last = null;
    this.open();
  }

  stop() {
    this.source?.close();
    window.clearTimeout(this.waiting);
    window.clearTimeout(this.gathering);
    this.gathering = null;
    this.came = [];
    this.enter("off");
  }

  enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.on.state();
  }

  open() {
    if (this.state === "off") this.enter("opening");
    const since = this.last === null ? {} : { since: this.last };
    const source = new EventSource(`/api/v1${listPath("/events/stream", { ...this.on.filters(), ...since })}`);
    this.source = source;
    source.addEventListener("open", () => this.enter("live"));
    source.addEventListener("message", (event) => this.take(event));
    source.addEventListener("heartbeat", (event) => (this.last = event.lastEventId));
    source.addEventListener("problem", () => this.broke());
    source.addEventListener("error", () => (source.readyState === EventSource.CLOSED ? this.broke() : this.enter("lost")));
  }

  take({ data, lastEventId }) {
    this.last = lastEventId;
    this.came.push(JSON.parse(data));
    this.gathering ??= window.setTimeout(() => {
      this.gathering = null;
      this.on.came(this.came.splice(0));
    }, GATHER);
  }

  /** The browser does not come back to a stream that was refused. */
  async broke() {
    const source = this.source;
    source.close();
    this.enter("lost");
    try {
      await request("GET", listPath("/events", { limit: 1, ...(this.last === null ? {} : { since: this.last }) }));
    } catch (problem) {
      if (problem.code === "compacted") this.last = null;
    }
    if (this.source === source && this.state !== "off") this.waiting = window.setTimeout(() => this.open(), AGAIN);
  }
}
