/* Which processes the operator wants to see: one sworm, one state, a text.

   Law: pure. What is left out is dimmed by those who draw, never removed: the picture stays whole. */

import { shapeOf } from "./words.js";

export class Filter {
  constructor({ sworm = "", state = "", text = "" } = {}) {
    Object.assign(this, { sworm, state, text });
  }

  get active() {
    return Boolean(this.sworm || this.state || this.text);
  }

  /** Change some of it. */
  set(part) {
    Object.assign(this, part);
  }

  get text() {
    return this.wanted;
  }

  set text(text) {
    this.wanted = text;
    this.needle = text.trim().toLowerCase();
  }

  shows(process) {
    if (this.sworm && process.sworm !== this.sworm) return false;
    if (this.state && shapeOf(process.state) !== this.state) return false;
    return !this.needle || this.matches(process);
  }

  /** The text is part of the name, the pid, or "sworm/name". */
  matches(process) {
    const whole = `${process.sworm}/${process.name} ${process.pid}`;
    return whole.toLowerCase().includes(this.needle);
  }
}
