/* A box to send a message from, and see what came back.

   Law: a message is JSON and is checked here before anything is sent; a reply, or why there is none, stays until the next one. Each way
   of sending shows the same request for scripts. */

import { request } from "./api.js";
import { h, say } from "./dom.js";
import { curl, twins } from "./twins.js";
import { span } from "./words.js";

/** ms offered as the longest wait for a reply. */
const TIMEOUT = 5000;

let serial = 0;

export class SendBox {
  /**
   * `title`; `ways`: [{verb, path, timeout, shown(answer) -> reply or null, said, command(message, timeout)}], the first is the usual one.
   */
  constructor({ title, ways }) {
    this.ways = ways;
    serial += 1;
    this.build(title, `send-${serial}`);
    this.showTwins();
  }

  build(title, id) {
    this.message = h("textarea.mono", { id, rows: 3, spellcheck: "false", autocomplete: "off", "aria-describedby": `${id}-trouble`, oninput: () => this.showTwins() });
    this.timeout = h("input", { id: `${id}-timeout`, type: "number", min: 1, max: 120000, step: 1, value: TIMEOUT, oninput: () => this.showTwins() });
    this.buttons = this.ways.map((way, i) => h(i ? "button" : "button.primary", { type: "button", onclick: () => this.send(way) }, way.verb));
    this.trouble = h("p.trouble", { id: `${id}-trouble`, role: "alert", hidden: true });
    this.reply = h("div.reply", { role: "status" });
    this.twins = h("div.twins");
    const wait = h("div.filter", {}, h("label", { for: `${id}-timeout` }, "Wait at most, ms"), this.timeout);
    this.element = h(
      "section.send",
      { "aria-label": title },
      h("h2", {}, title),
      h("label", { for: id }, "Message, as JSON"),
      this.message,
      h("div.send-line", {}, this.ways.some((way) => way.timeout) ? wait : null, h("div.buttons", {}, this.buttons)),
      this.trouble,
      this.reply,
      this.twins,
    );
  }

  /** Write a first message into the empty box, once: later what stands there is somebody's. */
  suggest(message) {
    if (this.suggested) return;
    this.suggested = true;
    this.message.value ||= message;
    this.showTwins();
  }

  /** {message, timeout_ms}; null, and says why, when the message is not JSON. */
  read(way) {
    try {
      const body = { message: JSON.parse(this.message.value) };
      if (way.timeout) body.timeout_ms = Math.max(1, Math.min(120000, Math.round(Number(this.timeout.value)) || TIMEOUT));
      return body;
    } catch (error) {
      this.fail(`The message is not JSON: ${error.message}. A text needs its quotes, as "hello".`);
      return null;
    }
  }

  async send(way) {
    const body = this.read(way);
    if (body === null) return;
    this.trouble.hidden = true;
    this.reply.replaceChildren(h("p.faint", {}, "Sent, waiting for the answer"));
    this.buttons.forEach((button) => (button.disabled = true));
    const from = performance.now();
    try {
      const answer = await request("POST", way.path, body);
      this.show(way, way.shown(answer), performance.now() - from);
    } catch (problem) {
      this.reply.replaceChildren();
      this.fail(`${way.verb}: ${problem.message}${problem.code ? ` (${problem.code})` : ""}`);
    } finally {
      this.buttons.forEach((button) => (button.disabled = false));
    }
  }

  show(way, reply, ms) {
    const took = ms < 1000 ? `${Math.round(ms)} ms` : span(ms);
    if (reply === null) this.reply.replaceChildren(h("p", {}, way.said));
    else this.reply.replaceChildren(h("p.faint", {}, `Answered after ${took}, by way of the web part:`), h("pre", { tabindex: 0, role: "group", "aria-label": "Reply" }, JSON.stringify(reply, null, 2)));
  }

  fail(text) {
    say(this.trouble, text);
    this.trouble.hidden = false;
  }

  showTwins() {
    const way = this.ways[0];
    let message = this.message.value.trim() || "null";
    try {
      message = JSON.stringify(JSON.parse(message));
    } catch {
      // Shown as it is written so far.
    }
    const body = `{"message": ${message}${way.timeout ? `, "timeout_ms": ${Number(this.timeout.value) || TIMEOUT}` : ""}}`;
    this.twins.replaceChildren(twins([["REST", curl("POST", way.path, body)], ["Command", way.command?.(message, this.timeout.value)]]));
  }
}
