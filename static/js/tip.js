/* What a cell is, beside the pointer.

   Law: only repeats what the drawer and the table also say; nothing can be done in it. */

import { glyph, h } from "./dom.js";
import { exact, moment, shapeOf, span, stateWord } from "./words.js";

const AWAY = 14;

export class Tip {
  constructor(element) {
    this.element = element;
  }

  /** Show a process (or, without one, a lost cell) near a point; null hides. */
  show(process, x, y) {
    this.element.hidden = process === null;
    if (process === null) return;
    this.element.replaceChildren(...described(process));
    const { offsetWidth, offsetHeight } = this.element;
    const left = x + AWAY + offsetWidth > window.innerWidth ? x - AWAY - offsetWidth : x + AWAY;
    const top = Math.min(y + AWAY, window.innerHeight - offsetHeight - 4);
    Object.assign(this.element.style, { left: `${Math.max(4, left)}px`, top: `${top}px` });
  }
}

function described(process) {
  const started = moment(process.started_at);
  const rows = [
    ["sworm", process.sworm],
    ["pid", process.pid],
    ["epoch", String(process.epoch)],
    ["age", started === null ? "not known" : `${span(Date.now() - started)} (since ${exact(started)})`],
  ];
  return [
    h("p.tip-name", {}, process.name),
    h("p.tip-state", {}, glyph(shapeOf(process.state)), `${stateWord(process.state)} on ${process.node}`),
    h("dl", {}, rows.filter(([, value]) => value).flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])),
  ];
}
