/* Where a cell stands inside its block.

   Law: pure. A process keeps its slot for as long as it stays on the node; a freed slot is taken by the next arrival, the
   lowest first. So nothing moves on the screen that did not move in the cluster. */

export class Slots {
  constructor() {
    this.clear();
  }

  clear() {
    this.slotOf = new Map(); // key -> slot
    this.keys = []; // slot -> key or null
    this.free = []; // a heap of free slots, the lowest first
  }

  get size() {
    return this.slotOf.size;
  }

  /** Slots in use or free: the length of the waffle. */
  get length() {
    return this.keys.length;
  }

  /** The slot of a key; takes the lowest free one when it has none yet. */
  take(key) {
    const held = this.slotOf.get(key);
    if (held !== undefined) return held;
    const slot = this.free.length > 0 ? this.pop() : this.keys.length;
    this.keys[slot] = key;
    this.slotOf.set(key, slot);
    return slot;
  }

  /** Give a key's slot back; returns it, or undefined when the key has none. */
  leave(key) {
    const slot = this.slotOf.get(key);
    if (slot === undefined) return undefined;
    this.slotOf.delete(key);
    this.keys[slot] = null;
    this.push(slot);
    return slot;
  }

  /** Whether so many slots are empty that closing the ranks is worth a jump. */
  get sparse() {
    return this.free.length > 24 && this.free.length * 2 > this.keys.length;
  }

  /** Close the ranks, keeping the order. */
  compact() {
    const keys = this.keys.filter((key) => key !== null);
    this.clear();
    for (const key of keys) this.take(key);
  }

  push(slot) {
    const heap = this.free;
    let i = heap.push(slot) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent] <= heap[i]) break;
      [heap[parent], heap[i]] = [heap[i], heap[parent]];
      i = parent;
    }
  }

  pop() {
    const heap = this.free;
    const lowest = heap[0];
    const last = heap.pop();
    if (heap.length > 0) {
      heap[0] = last;
      this.sink(0);
    }
    return lowest;
  }

  sink(start) {
    const heap = this.free;
    let i = start;
    for (;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) if (child < heap.length && heap[child] < heap[least]) least = child;
      if (least === i) return;
      [heap[least], heap[i]] = [heap[i], heap[least]];
      i = least;
    }
  }
}

/** [cell, gap] in CSS pixels, from roomy to dense. */
export const SIZES = Object.freeze([
  [14, 2],
  [12, 2],
  [10, 2],
  [8, 1],
  [6, 1],
  [5, 1],
  [4, 1],
]);

/** Columns that fit into a width. */
function columnsIn(width, [cell, gap]) {
  return Math.max(1, Math.floor((width + gap) / (cell + gap)));
}

/** Height of `n` slots in so many columns. */
function heightOf(n, columns, [cell, gap]) {
  const rows = Math.ceil(n / columns);
  return rows === 0 ? 0 : rows * (cell + gap) - gap;
}

/**
 * Index into SIZES for blocks with `lengths` slots each, of which `perRow` stand side by side, `width` wide, in `height` pixels
 * for all rows together. `current` makes it reluctant to grow back (only at two thirds of the room), so that it does not swing.
 */
export function chooseSize(lengths, perRow, width, height, current = 0) {
  const rows = [];
  for (let i = 0; i < lengths.length; i += perRow) rows.push(Math.max(...lengths.slice(i, i + perRow)));
  const fits = (size, room) => rows.reduce((sum, n) => sum + heightOf(n, columnsIn(width, size), size), 0) <= room;
  for (let i = 0; i < SIZES.length; i += 1) if (fits(SIZES[i], i < current ? (height * 2) / 3 : height)) return i;
  return SIZES.length - 1;
}
