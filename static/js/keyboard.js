/* Moving over the map without a pointer.

   Law: pure geometry over slots (`nextKey`), and one small listener. What has the focus is said aloud in words. */

const MOVES = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: (columns) => -columns,
  ArrowDown: (columns) => columns,
};

/** The next occupied slot from `start` in steps of `by`; empty slots are passed over. -1: none. */
function nextSlot(keys, start, by) {
  for (let i = start + by; i >= 0 && i < keys.length; i += by) if (keys[i] !== null) return i;
  return -1;
}

/**
 * Where a key press leads. `blocks` is a list of {keys, columns}, `at` is [block, slot] or null (nothing has the focus).
 * Returns [block, slot] or null when there is nowhere to go.
 */
export function travel(blocks, at, press) {
  if (press === "End") return edge(blocks, blocks.length - 1, -1);
  if (press === "Home" || at === null) return edge(blocks, 0, 1);
  const [b, slot] = at;
  if (press === "PageDown") return edge(blocks, b + 1, 1) ?? at;
  if (press === "PageUp") return edge(blocks, b - 1, -1, 1) ?? at;
  const by = MOVES[press]?.(blocks[b].columns);
  if (by === undefined) return null;
  const next = nextSlot(blocks[b].keys, slot, by);
  if (next >= 0) return [b, next];
  return by > 0 ? (edge(blocks, b + 1, 1) ?? at) : (edge(blocks, b - 1, -1) ?? at);
}

/** First (way 1) or last (way -1) occupied slot of the first non-empty block from `start`; `from` overrides which end. */
function edge(blocks, start, way, from = way) {
  for (let b = start; b >= 0 && b < blocks.length; b += way) {
    const { keys } = blocks[b];
    const slot = from > 0 ? nextSlot(keys, -1, 1) : nextSlot(keys, keys.length, -1);
    if (slot >= 0) return [b, slot];
  }
  return null;
}

export class Keyboard {
  /** `on` has open(key), mark(key), move(key), spoken(key). */
  constructor(element, map, on) {
    Object.assign(this, { element, map, on });
    element.addEventListener("keydown", (event) => this.pressed(event));
    element.addEventListener("focus", () => this.arrive());
    element.addEventListener("blur", () => this.map.focus(null));
    this.last = null;
  }

  arrive() {
    if (this.last && this.map.model.processes.has(this.last)) this.go(this.last);
  }

  pressed(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { Enter: this.on.open, x: this.on.mark, m: this.on.move }[event.key];
    if (act !== undefined && this.map.focused !== null) {
      event.preventDefault();
      act(this.map.focused);
      return;
    }
    const names = [...this.map.container.children].map((child) => child.dataset.node);
    const blocks = names.map((name) => this.map.blocks.get(name));
    const grids = blocks.map((block) => ({ keys: block.slots.keys, columns: block.waffle.columns }));
    if (!(event.key in MOVES) && !["Home", "End", "PageUp", "PageDown"].includes(event.key)) return;
    event.preventDefault();
    const to = travel(grids, this.position(blocks), event.key);
    if (to !== null) this.go(grids[to[0]].keys[to[1]]);
  }

  position(blocks) {
    for (let b = 0; b < blocks.length; b += 1) {
      const slot = blocks[b].slots.slotOf.get(this.map.focused);
      if (slot !== undefined) return [b, slot];
    }
    return null;
  }

  go(key) {
    this.last = key;
    this.map.focus(key);
    this.on.spoken(key);
  }
}
