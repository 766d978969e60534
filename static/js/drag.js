/* Dragging a cell, or the marked ones with it, to another node's block.

   Law: a drag only proposes: what is dropped is asked about first. A block says while one hovers whether it takes anything. A finger
   scrolls and never drags; the keyboard has its own way (keyboard.js). */

import { h } from "./dom.js";
import { counted } from "./words.js";

/** CSS px that a pressed pointer must travel before it drags: less is a click. */
const THRESHOLD = 5;

export class Drag {
  /** `map` is the process map; `on` has dragged(key) -> [process], takes(node) -> boolean, dropped(processes, node). */
  constructor(map, on) {
    Object.assign(this, { map, on });
    this.pressed = null; // {key, x, y, pointer} before it drags
    this.load = null; // what is dragged
    const { container } = map;
    container.addEventListener("pointerdown", (event) => this.press(event));
    container.addEventListener("click", (event) => this.swallow(event), { capture: true });
    window.addEventListener("pointermove", (event) => this.moved(event));
    window.addEventListener("pointerup", (event) => this.released(event));
    window.addEventListener("pointercancel", () => this.end());
    window.addEventListener("keydown", (event) => this.escaped(event), { capture: true });
  }

  press(event) {
    this.swallows = false;
    if (event.button !== 0 || event.pointerType === "touch" || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const key = this.map.keyUnder(event);
    if (key !== null && this.map.model.processes.has(key)) this.pressed = { key, x: event.clientX, y: event.clientY };
  }

  moved(event) {
    if (this.load === null && !this.begins(event)) return;
    Object.assign(this.ghost.style, { left: `${event.clientX + 10}px`, top: `${event.clientY + 10}px` });
    this.over(blockAt(event));
  }

  begins(event) {
    if (this.pressed === null || Math.hypot(event.clientX - this.pressed.x, event.clientY - this.pressed.y) < THRESHOLD) return false;
    this.load = this.on.dragged(this.pressed.key);
    this.from = this.map.model.processes.get(this.pressed.key)?.node;
    this.ghost = h("div.drag-ghost", { "aria-hidden": "true" }, this.load.length === 1 ? this.load[0].name : counted(this.load.length, "process", "processes"));
    document.body.append(this.ghost);
    document.body.classList.add("dragging");
    return true;
  }

  over(block) {
    if (block === this.target) return;
    this.target?.classList.remove("drop-yes", "drop-no");
    this.target = block;
    const node = block?.dataset.node;
    if (block && node !== this.from) block.classList.add(this.on.takes(node) ? "drop-yes" : "drop-no");
  }

  released() {
    const { load, target } = this;
    const good = target?.classList.contains("drop-yes");
    const node = target?.dataset.node;
    if (load !== null) this.swallows = true; // the click that follows is the end of the drag, not a wish to open
    this.end();
    if (load !== null && good) this.on.dropped(load, node);
  }

  swallow(event) {
    if (!this.swallows) return;
    this.swallows = false;
    event.stopPropagation();
  }

  escaped(event) {
    if (event.key !== "Escape" || this.load === null) return;
    event.stopPropagation();
    this.end();
  }

  end() {
    this.target?.classList.remove("drop-yes", "drop-no");
    this.ghost?.remove();
    document.body.classList.remove("dragging");
    Object.assign(this, { pressed: null, load: null, target: null, ghost: null });
  }
}

function blockAt(event) {
  return document.elementFromPoint(event.clientX, event.clientY)?.closest(".block") ?? null;
}
