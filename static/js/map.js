/* The live map: one block a node, one cell a process, and what moves between them.

   Law: follows the model's changes; holds no truth of its own beyond where things stand on the screen. Painting happens once a
   frame, however many diffs came. */

import { Block } from "./block.js";
import { Flights } from "./flights.js";
import { Palette } from "./palette.js";
import { SIZES, chooseSize } from "./slots.js";
import { COLLATOR, shapeOf } from "./words.js";

/** ms that the place of a vanished cell is remembered, so that it can fly when it turns up elsewhere. */
const REMEMBERED = 10000;
/** ms that a node which left stays on the map. */
const FAREWELL = 30000;
/** Pixels kept free below each row of blocks, and for the journal below them all. */
const MARGIN = 24;
const JOURNAL = 150;

const HIDDEN_STATUSES = new Set(["observing", "forgotten"]);

export class ProcessMap {
  /** `on` has open(key), openNode(name), acknowledge(name), isMarked(key), mark(key), hover(key | null, x, y). `filter` has shows(process). */
  constructor({ container, overlay, model, losses, filter, acknowledged, on }) {
    Object.assign(this, { container, model, losses, filter, acknowledged, on });
    this.blocks = new Map();
    this.palette = new Palette();
    this.flights = new Flights(overlay, this.palette, () => this.wake());
    this.departed = new Map(); // key -> {place, shape, at}
    this.sizeIndex = 0;
    this.chosen = null;
    this.focused = null;
    this.mustLayOut = true;
    this.mustRepaint = false;
    this.asleep = true;
    this.shown = true;
    this.hovered = null;
    this.takeOffs = []; // flights that start once this frame's layout stands
    this.observe();
  }

  observe() {
    new ResizeObserver(() => this.relayout()).observe(this.container);
    window.addEventListener("resize", () => this.relayout());
    this.container.addEventListener("pointermove", (event) => this.pointed(event));
    this.container.addEventListener("pointerleave", () => this.hover(null));
    this.container.addEventListener("click", (event) => this.clicked(event));
  }

  // --- what changed ---------------------------------------------------------------------------------------------------

  /** Take one change of the model. */
  apply(change) {
    const now = performance.now();
    this.syncBlocks();
    for (const { process, before } of change.moved) this.move(process, before.node, now);
    for (const process of change.removed) this.remove(process, now);
    if (change.reset) this.refill();
    else for (const process of change.added) this.add(process, now);
    for (const { process, before } of change.updated) this.update(process, before, now);
    for (const { node } of change.nodes) this.nodeChanged(node.name);
    this.forgetDeparted(now);
    this.describe(Date.now());
    this.wake();
  }

  refill() {
    for (const [name, block] of this.blocks) block.fill(this.model.on(name));
    this.mustRepaint = true;
  }

  add(process, now) {
    const block = this.blocks.get(process.node);
    const trace = this.departed.get(process.key) ?? this.ghost(process.key);
    block.slots.take(process.key);
    if (trace) this.fly(process, trace.place, block, now);
    else this.appear(block, process, now);
  }

  move(process, from, now) {
    const source = this.blocks.get(from);
    const place = source?.where(process.key) ?? null;
    source?.leave(process.key);
    const block = this.blocks.get(process.node);
    block.slots.take(process.key);
    this.fly(process, place, block, now);
  }

  remove(process, now) {
    const block = this.blocks.get(process.node);
    if (block === undefined) return;
    const status = this.model.nodes.get(process.node)?.status;
    this.departed.set(process.key, { place: block.where(process.key), at: now });
    if (status === "dead" || status === "suspect") block.ghosts.add(process.key);
    else block.leave(process.key);
    block.paint(process.key, this.model, this.filter);
  }

  update(process, before, now) {
    const block = this.blocks.get(process.node);
    block.paint(process.key, this.model, this.filter);
    if (before.epoch !== process.epoch || process.state === "failed") this.ringAround(block, process, now);
  }

  nodeChanged(name) {
    const block = this.blocks.get(name);
    const status = this.model.nodes.get(name)?.status;
    if (block === undefined || status === block.paintedStatus) return;
    block.paintedStatus = status;
    if (status === "alive") for (const key of [...block.ghosts]) block.leave(key);
    this.mustRepaint = true;
  }

  appear(block, process, now) {
    block.paint(process.key, this.model, this.filter);
    this.ringAround(block, process, now);
  }

  ringAround(block, process, now) {
    if (!this.mustLayOut && this.visible && this.filter.shows(process)) {
      this.flights.ring(shapeOf(process.state), block.where(process.key), now);
    }
  }

  /** The ghost of a process on a dead node's block: taken away, with the place where it stood. */
  ghost(key) {
    for (const block of this.blocks.values()) {
      if (!block.ghosts.has(key)) continue;
      const place = block.where(key);
      block.leave(key);
      return { place };
    }
    return undefined;
  }

  fly(process, place, block, now) {
    this.ghost(process.key);
    this.departed.delete(process.key);
    const { key } = process;
    if (place === null || !this.visible) {
      block.paint(key, this.model, this.filter);
      return;
    }
    block.hidden.add(key);
    this.takeOffs.push({ process, place, block, now });
  }

  /** Start the flights of this frame: only now every slot has its final place. */
  takeOff() {
    for (const { process, place, block, now } of this.takeOffs) {
      const { key } = process;
      const landed = () => {
        block.hidden.delete(key);
        block.paint(key, this.model, this.filter);
        this.wake();
      };
      const to = block.where(key);
      if (to === null) landed();
      else this.flights.fly(shapeOf(process.state), place, to, landed, now);
    }
    this.takeOffs = [];
  }

  forgetDeparted(now) {
    for (const [key, trace] of this.departed) if (now - trace.at > REMEMBERED) this.departed.delete(key);
  }

  // --- blocks ---------------------------------------------------------------------------------------------------------

  /** One block for each node that is there, or died unacknowledged, or still has processes. */
  syncBlocks() {
    const wanted = this.wantedNodes();
    for (const [name, block] of this.blocks) {
      if (wanted.includes(name)) continue;
      block.element.remove();
      this.blocks.delete(name);
      this.mustLayOut = true;
    }
    wanted.forEach((name, i) => this.ensureBlock(name, i));
  }

  ensureBlock(name, i) {
    if (this.blocks.has(name)) return;
    const block = new Block(name, { open: this.on.openNode, acknowledge: this.on.acknowledge, isMarked: this.on.isMarked });
    this.blocks.set(name, block);
    block.fill(this.model.on(name));
    this.container.insertBefore(block.element, this.container.children[i] ?? null);
    this.mustLayOut = true;
  }

  wantedNodes() {
    const names = new Set();
    for (const node of this.model.nodes.values()) if (this.isShown(node)) names.add(node.name);
    for (const [name, processes] of this.model.byNode) if (processes.size > 0) names.add(name);
    return [...names].sort(COLLATOR.compare);
  }

  isShown(node) {
    if (HIDDEN_STATUSES.has(node.status)) return false;
    if (node.status === "dead") return !this.acknowledged(node) || this.model.on(node.name).size > 0;
    return node.status !== "left" || Date.now() - leftAt(node) < FAREWELL;
  }

  /** Headers and notes; cheap, once a second and with each change. */
  describe(now) {
    const all = this.model.processes.size;
    let most = 0;
    for (const name of this.blocks.keys()) most = Math.max(most, this.model.on(name).size);
    for (const [name, block] of this.blocks) {
      const node = this.model.nodes.get(name) ?? { name };
      block.describe(node, { here: this.model.on(name).size, most, all, loss: this.losses.of(name), now });
    }
  }

  /** Once a second: what changes by time alone. */
  tick(now) {
    this.syncBlocks();
    this.describe(now);
    for (const block of this.blocks.values()) {
      if (!block.slots.sparse) continue;
      block.slots.compact();
      this.mustLayOut = true;
    }
    if (this.mustLayOut) this.wake();
  }

  /** Whether the map is on the screen, or the table in its place. */
  show(shown) {
    this.shown = shown;
    if (shown) this.relayout();
  }

  // --- drawing --------------------------------------------------------------------------------------------------------

  get visible() {
    return this.shown && document.visibilityState === "visible";
  }

  /** Colours changed. */
  recolour() {
    this.palette.read();
    this.relayout();
  }

  relayout() {
    this.mustLayOut = true;
    this.wake();
  }

  /** The filter changed: every cell may look different. */
  repaint() {
    this.mustRepaint = true;
    this.wake();
  }

  wake() {
    if (!this.asleep) return;
    this.asleep = false;
    window.requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.asleep = true;
    this.layOut();
    if (this.mustRepaint) for (const block of this.blocks.values()) block.repaint(this.model, this.filter);
    this.mustRepaint = false;
    this.takeOff();
    const more = this.flights.frame(now);
    for (const block of this.blocks.values()) block.waffle.flush();
    this.placeRings();
    if (more) this.wake();
  }

  layOut() {
    const blocks = [...this.blocks.values()];
    if (blocks.length === 0 || !this.visible) return;
    if (this.mustLayOut) this.chooseLayout(blocks);
    const size = SIZES[this.sizeIndex];
    const scale = window.devicePixelRatio || 1;
    const sprites = this.palette.sprites(Math.round(size[0] * scale));
    for (const block of blocks) if (block.fit(size, scale, sprites, this.width)) block.repaint(this.model, this.filter);
    this.growIfNeeded(blocks);
  }

  chooseLayout(blocks) {
    this.flights.settle();
    this.mustLayOut = false;
    this.width = blocks[0].field.clientWidth;
    const perRow = window.getComputedStyle(this.container).gridTemplateColumns.split(" ").length;
    const top = this.container.getBoundingClientRect().top + window.scrollY;
    const heads = blocks[0].field.offsetTop + MARGIN;
    const rows = Math.ceil(blocks.length / perRow);
    this.room = Math.max(160, window.innerHeight - top - JOURNAL - rows * heads);
    this.perRow = perRow;
    this.pickSize(blocks);
  }

  pickSize(blocks) {
    const lengths = blocks.map((block) => block.slots.length);
    this.sizeIndex = chooseSize(lengths, this.perRow, this.width, this.room, this.sizeIndex);
    this.laidOut = lengths.reduce((sum, n) => sum + n, 0);
  }

  /** Numbers grew or fell since the size was chosen: choose again in the next frame. */
  growIfNeeded(blocks) {
    const total = blocks.reduce((sum, block) => sum + block.slots.length, 0);
    if (total === this.laidOut) return;
    const before = this.sizeIndex;
    this.pickSize(blocks);
    if (this.sizeIndex !== before) this.relayout();
  }

  // --- pointing, focus, choice ------------------------------------------------------------------------------------------

  blockOf(key) {
    const process = key === null ? undefined : this.model.processes.get(key);
    return process === undefined ? undefined : this.blocks.get(process.node);
  }

  placeRings() {
    for (const [kind, key] of [
      ["hover", this.hovered],
      ["focus", this.focused],
      ["chosen", this.chosen],
    ]) {
      const home = this.blockOf(key);
      for (const block of this.blocks.values()) block.ring(kind, block === home ? key : null);
    }
  }

  choose(key) {
    this.chosen = key;
    this.wake();
  }

  focus(key) {
    this.focused = key;
    this.wake();
  }

  hover(key, event) {
    this.hovered = key;
    this.on.hover(key, event?.clientX ?? 0, event?.clientY ?? 0);
    this.wake();
  }

  pointed(event) {
    if (event.pointerType === "touch") return;
    const key = this.keyUnder(event);
    if (key !== null || this.hovered !== null) this.hover(key, event);
  }

  clicked(event) {
    const key = this.keyUnder(event);
    if (key === null || !this.model.processes.has(key)) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) this.on.mark(key);
    else this.on.open(key);
  }

  keyUnder(event) {
    if (!event.target.classList.contains("waffle")) return null;
    const block = this.blocks.get(event.target.closest(".block").dataset.node);
    return block?.keyAt(event.clientX, event.clientY) ?? null;
  }
}

function leftAt(node) {
  const seen = Date.parse(node.last_seen ?? "");
  return Number.isNaN(seen) ? 0 : seen;
}
