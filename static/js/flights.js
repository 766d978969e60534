/* Cells on their way from one block to another, and the rings around what just changed.

   Law: shows, never decides: a cell has arrived in the model before it takes off here, and `landed` is called for each, whatever
   happens. Reduced motion: nothing flies, the place of arrival blinks once. */

/** ms a cell flies. Long enough to follow with the eyes, short enough not to lie about the present. */
const FLIGHT = 200;
/** ms a ring takes to fade, and how far (CSS px) it opens. */
const RING = 700;
const SPREAD = 5;
/** More at once would be noise, and slow: the rest is simply there. */
const MOST_FLIGHTS = 400;
const MOST_RINGS = 120;

export class Flights {
  /** `palette` draws; `wake` asks for a frame. */
  constructor(canvas, palette, wake) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.palette = palette;
    this.wake = wake;
    this.flying = [];
    this.rings = [];
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Fly `shape` from one place to another ({x, y, size} in the window's CSS px); `landed` when it is there. */
  fly(shape, from, to, landed, now) {
    if (this.calm.matches || this.flying.length >= MOST_FLIGHTS) {
      landed();
      this.ring(shape, to, now);
      return;
    }
    this.flying.push({ shape, from, to, landed, start: now });
    this.wake();
  }

  /** A ring around a place: something changed here. */
  ring(shape, at, now) {
    if (this.rings.length >= MOST_RINGS || at === null) return;
    this.rings.push({ shape, at, start: now });
    this.wake();
  }

  /** Everything lands now: the blocks are about to be laid out anew. */
  settle() {
    for (const flight of this.flying) flight.landed();
    this.flying = [];
    this.rings = [];
  }

  /** Draw one frame; true while there is more to come. */
  frame(now) {
    const active = this.flying.length + this.rings.length > 0;
    if (!active && !this.drawn) return false;
    this.clear();
    this.rings = this.rings.filter((ring) => this.drawRing(ring, now));
    this.flying = this.flying.filter((flight) => this.drawFlight(flight, now));
    this.drawn = this.flying.length + this.rings.length > 0;
    return this.drawn;
  }

  clear() {
    const scale = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(window.innerWidth * scale), Math.round(window.innerHeight * scale)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.context.clearRect(0, 0, window.innerWidth, window.innerHeight);
  }

  drawFlight(flight, now) {
    const part = Math.min(1, Math.max(0, (now - flight.start) / FLIGHT));
    if (part === 1) {
      flight.landed();
      this.ring(flight.shape, flight.to, now);
      return false;
    }
    const eased = part * part * (3 - 2 * part);
    const between = (a, b) => a + (b - a) * eased;
    const { from, to } = flight;
    const size = between(from.size, to.size);
    const picture = this.palette.picture(flight.shape, Math.round(to.size * (window.devicePixelRatio || 1)));
    this.context.drawImage(picture, between(from.x, to.x), between(from.y, to.y), size, size);
    return true;
  }

  drawRing(ring, now) {
    const part = (now - ring.start) / RING;
    if (part >= 1) return false;
    const spread = this.calm.matches ? 1 : 1 + SPREAD * part;
    const { x, y, size } = ring.at;
    this.context.globalAlpha = this.calm.matches ? 1 : 1 - part;
    this.context.strokeStyle = this.palette.css(ring.shape);
    this.context.lineWidth = 1.5;
    this.context.strokeRect(x - spread, y - spread, size + 2 * spread, size + 2 * spread);
    this.context.globalAlpha = 1;
    return true;
  }
}
