/* The life of a process as it stands on its page.

   Law: an incarnation is rewritten only when something about it changed, so that an opened traceback stays open. */

import { nodeLink } from "./cells.js";
import { copyButton, h, when } from "./dom.js";
import { told } from "./history.js";

export class LifeView {
  /** `on.more()` asks for what was before. */
  constructor(on) {
    this.list = h("ol.life", { reversed: true });
    this.nothing = h("p.faint", { hidden: true }, "Nothing is recorded about it yet.");
    this.more = h("button", { type: "button", hidden: true, onclick: () => on.more() }, "Show what was before");
    this.element = h("div", {}, this.nothing, this.list, this.more);
    this.known = new Map();
  }

  show(lives, more) {
    this.more.hidden = !more;
    this.nothing.hidden = lives.length > 0;
    const wanted = new Set(lives.map((one) => one.pid));
    for (const [pid, { element }] of this.known) {
      if (wanted.has(pid)) continue;
      element.remove();
      this.known.delete(pid);
    }
    lives.forEach((one, i) => {
      const element = this.entry(one);
      if (this.list.children[i] !== element) this.list.insertBefore(element, this.list.children[i] ?? null);
    });
  }

  entry(one) {
    const shown = JSON.stringify(one);
    const before = this.known.get(one.pid);
    if (before?.shown === shown) return before.element;
    const element = before?.element ?? h("li");
    element.className = one.current ? "current" : "";
    element.replaceChildren(...parts(one));
    this.known.set(one.pid, { element, shown });
    return element;
  }
}

function parts(one) {
  const head = h(
    "p.life-head", {},
    h("span.mono.life-pid", {}, one.pid), " ", copyButton(one.pid, "pid"),
    h("span.faint", {}, one.epoch === null ? "epoch not recorded" : ["epoch ", h("span.mono", {}, String(one.epoch))]),
    h("span.faint", {}, "on ", nodeLink(one.node)),
  );
  const lines = [line(one.began.text, one.began.at)];
  for (const note of one.notes) lines.push(line(`${told(note).what}${told(note).where}`, note.at, note.detail));
  if (one.ended) lines.push(line(one.ended.text, one.ended.at, one.ended.detail, one.ended.detail.includes("\n")));
  else lines.push(h("p.life-line.now", {}, "Runs now"));
  return [head, ...lines];
}

function line(text, at, detail = "", open = false) {
  const head = [h("span", {}, text), at === null ? "" : " ", at === null ? "" : when(at)];
  if (!detail) return h("p.life-line", {}, head);
  if (!detail.includes("\n") && detail.length < 160) return h("p.life-line", {}, head, h("span.event-detail", {}, detail));
  const fold = h("details.life-line", { open }, h("summary", {}, head), h("pre", { tabindex: 0, role: "group", "aria-label": text }, detail));
  return fold;
}
