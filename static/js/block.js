/* One node on the map: its header, its cells, its end.

   Law: draws what it is told of one node. Which process stands in which slot is remembered here; what a process is, is asked of the
   model. Of a dead node it keeps the cells of what was lost, hatched, until each is back elsewhere. */

import { h, say } from "./dom.js";
import { inOrder } from "./model.js";
import { Slots } from "./slots.js";
import { Waffle } from "./waffle.js";
import { ago, bytes, count, counted, listed, shapeOf } from "./words.js";

const STATUS_WORDS = {
  alive: "alive",
  suspect: "does not answer",
  draining: "draining",
  left: "left",
  dead: "dead",
};

export class Block {
  /** `on` has open(node), acknowledge(node), isMarked(key). */
  constructor(name, on) {
    this.name = name;
    this.isMarked = on.isMarked;
    this.slots = new Slots();
    this.hidden = new Set(); // keys that are still on their way here
    this.ghosts = new Set(); // keys that were lost with the node and are not back
    this.build(on);
    this.waffle = new Waffle(this.canvas);
  }

  build(on) {
    this.title = h("button.block-name", { type: "button", onclick: () => on.open(this.name) }, this.name);
    this.status = h("span.block-status");
    this.total = h("span.block-count");
    this.load = h("p.block-load");
    this.bar = h("span.bar-part");
    this.note = h("p.block-note");
    this.dismiss = h("button.quiet", { type: "button", hidden: true, onclick: () => on.acknowledge(this.name) }, "Acknowledge");
    this.canvas = h("canvas.waffle", { "aria-hidden": "true" });
    this.rings = { hover: h("i.ring.ring-hover"), focus: h("i.ring.ring-focus"), chosen: h("i.ring.ring-chosen") };
    this.field = h("div.field", {}, this.canvas, ...Object.values(this.rings));
    this.element = h(
      "section.block",
      { "data-node": this.name, "aria-label": `Node ${this.name}` },
      h("header.block-head", {}, h("h2", {}, this.title), this.status, this.total),
      h("div.bar", { "aria-hidden": "true" }, this.bar),
      this.load,
      h("div.block-end", {}, this.note, this.dismiss),
      this.field,
    );
  }

  get dead() {
    return this.node?.status === "dead" || this.node?.status === "left";
  }

  /** Take in all processes of the node at once, the new ones in order. Returns nothing: the caller repaints. */
  fill(processes) {
    for (const key of [...this.slots.slotOf.keys()]) if (!processes.has(key) && !this.ghosts.has(key)) this.slots.leave(key);
    const fresh = [...processes.values()].filter((process) => !this.slots.slotOf.has(process.key));
    for (const process of fresh.sort(inOrder)) this.slots.take(process.key);
  }

  /** What a cell shows: a shape, dimmed or not; null: nothing. */
  look(key, model, filter) {
    if (this.hidden.has(key)) return null;
    const process = model.processes.get(key);
    const here = process !== undefined && process.node === this.name;
    if (!here || this.dead) return { shape: "unknown", dim: process !== undefined && !filter.shows(process) };
    return { shape: shapeOf(process.state), dim: !filter.shows(process) };
  }

  paint(key, model, filter) {
    const slot = this.slots.slotOf.get(key);
    if (slot === undefined || this.waffle.sprites === null) return;
    const look = this.look(key, model, filter);
    const { dim, full, marked } = this.waffle.sprites;
    const set = this.isMarked(key) ? marked : look?.dim ? dim : full;
    this.waffle.paint(slot, look === null ? null : set[look.shape]);
  }

  repaint(model, filter) {
    for (const key of this.slots.slotOf.keys()) this.paint(key, model, filter);
  }

  /** Take a key out; its slot becomes empty on the screen. */
  leave(key) {
    this.ghosts.delete(key);
    const slot = this.slots.leave(key);
    if (slot !== undefined && this.waffle.sprites !== null) this.waffle.paint(slot, null);
  }

  /** Lay the waffle out; true when all cells must be painted again. */
  fit(size, scale, sprites, width) {
    return this.waffle.fit(width, this.slots.length, size, scale, sprites);
  }

  /** Where a key's cell is, in the window's CSS px; null when it has none or is not laid out. */
  where(key) {
    const slot = this.slots.slotOf.get(key);
    if (slot === undefined || this.waffle.sprites === null) return null;
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = this.waffle.place(slot);
    return { x: box.left + x, y: box.top + y, size: this.waffle.cell / this.waffle.scale };
  }

  /** The key under a point of the window; null when there is none. */
  keyAt(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return this.slots.keys[this.waffle.slotAt(clientX - box.left, clientY - box.top)] ?? null;
  }

  /** Show one of the rings around a key's cell, or (null) take it away. */
  ring(kind, key) {
    const ring = this.rings[kind];
    const slot = key === null ? undefined : this.slots.slotOf.get(key);
    ring.classList.toggle("shown", slot !== undefined);
    if (slot === undefined) return;
    const [x, y] = this.waffle.place(slot);
    const size = this.waffle.cell / this.waffle.scale;
    Object.assign(ring.style, { left: `${x}px`, top: `${y}px`, width: `${size}px`, height: `${size}px` });
  }

  /** Header and note. `most` is the largest block's count, for the bar; `loss` as losses.js gives it. */
  describe(node, { here, most, all, loss, now }) {
    this.node = node;
    const status = node.status ?? "unknown";
    this.element.dataset.status = node.cordoned && status === "alive" ? "cordoned" : status;
    say(this.status, statusText(node));
    say(this.total, counted(here, "process", "processes"));
    say(this.load, this.dead ? "" : loadText(node, here, all));
    this.bar.style.width = `${most ? (100 * here) / most : 0}%`;
    say(this.note, this.dead ? endText(node, loss, here, now) : "");
    this.dismiss.hidden = status !== "dead";
  }
}

function statusText(node) {
  const word = STATUS_WORDS[node.status] ?? "unknown";
  return node.cordoned && node.status === "alive" ? "cordoned" : word;
}

function loadText(node, here, all) {
  const said = [all ? `${Math.round((100 * here) / all)} % of all` : "nothing yet"];
  const stats = node.stats ?? {};
  if (typeof stats.cpu === "number") said.push(`${Math.round(stats.cpu)} % CPU`);
  if (typeof stats.rss === "number") said.push(bytes(stats.rss));
  return said.join(" · ");
}

function endText(node, loss, here, now) {
  if (node.status === "left") return "Left the cluster; nothing runs here.";
  if (loss === undefined || loss.total === 0) return here ? `${counted(here, "process", "processes")} not back yet.` : "Nothing is left on it.";
  const where = loss.on.length ? ` on ${listed(loss.on)}` : "";
  return `Lost ${ago(loss.at, now)}. ${count(loss.back)} of ${count(loss.total)} back${where}.`;
}
