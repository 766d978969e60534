/* The shell around stream.js: one WebSocket, one timer.

   Law: carries out effects, decides nothing. A socket that was given up can no longer speak: its late messages are dropped. */

import { fresh, step } from "./stream.js";

const TICK_MS = 250;
/** The close code of a stream whose session is not good, or no longer. */
const NOT_SIGNED_IN = 4401;

export class Link {
  /** `url(since)` gives the address to connect to (null: from a snapshot); `on` has snapshot(message), diff(message), changed(machine). */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.socket = null;
    this.machine = fresh(Date.now());
    this.timer = 0;
  }

  start() {
    this.timer = window.setInterval(() => this.feed({ kind: "tick" }), TICK_MS);
    document.addEventListener("visibilitychange", () => this.feed({ kind: "tick" }));
    window.addEventListener("online", () => this.feed({ kind: "retry" }));
    this.feed({ kind: "tick" });
  }

  /** Try again now, whatever the wait. */
  retry() {
    this.feed({ kind: "retry" });
  }

  /** REST said that the session has ended: the stream need not be waited for to say so too. */
  deny() {
    this.drop();
    this.feed({ kind: "closed", code: NOT_SIGNED_IN });
  }

  feed(input) {
    const before = this.machine;
    const { machine, effects } = step(before, input, Date.now(), Math.random());
    this.machine = machine;
    for (const effect of effects) this.carryOut(effect, input);
    if (machine.state !== before.state || effects.length > 0) this.on.changed(machine);
  }

  carryOut(effect, input) {
    switch (effect) {
      case "connect":
        this.connect();
        break;
      case "disconnect":
        this.drop();
        break;
      case "resync":
        this.socket?.send(JSON.stringify({ type: "resync", since: this.machine.revision }));
        break;
      case "snapshot":
      case "diff":
        this.on[effect](input.message);
        break;
      default: // retry, forget: told by the machine's own fields
    }
  }

  connect() {
    this.drop();
    const socket = new WebSocket(this.url(this.machine.anew ? null : this.machine.revision));
    this.socket = socket;
    socket.addEventListener("open", () => this.socket === socket && this.feed({ kind: "opened" }));
    socket.addEventListener("close", (event) => this.socket === socket && this.closed(event.code));
    socket.addEventListener("message", (event) => {
      if (this.socket === socket) this.feed({ kind: "message", message: JSON.parse(event.data) });
    });
  }

  closed(code) {
    this.socket = null;
    this.feed({ kind: "closed", code });
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}
