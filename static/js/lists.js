/* The pages that are one table: sworms, nodes.

   Law: what REST lists, in REST's order, a page at a time, read again every few seconds while nobody has asked for more. A page that
   cannot be read says why and keeps what it showed. */

import { listPath, request } from "./api.js";
import { follow } from "./cluster.js";
import { h, say, tellTimes, when } from "./dom.js";
import { count, counted, moment } from "./words.js";

/** Rows a page. */
const PAGE = 100;
/** ms between two readings. */
const AGAIN = 5000;

const mono = (text) => h("span.mono", {}, String(text ?? ""));
const time = (value) => (moment(value) === null ? "" : when(moment(value)));
const number = (value) => h("span.number", {}, value === undefined || value === null ? "" : count(value));
const isNode = (name) => name && !name.startsWith("observer"); // an observer runs nothing: there is no page for it
const nodeLink = (name) => (isNode(name) ? h("a.mono", { href: `/?${new URLSearchParams({ n: name })}` }, name) : mono(name));

/** page -> {path, order, one, many, empty, columns: [[heading, make(item), class]]} */
const PAGES = {
  sworms: {
    path: "/sworms",
    words: ["sworm", "sworms"],
    empty: "No sworm is defined. An agent with a worker class, the admin, or POST /api/v1/sworms defines one.",
    columns: [
      ["Sworm", (item) => h("a.mono", { href: `/?${new URLSearchParams({ sworm: item.name })}` }, item.name)],
      ["Processes", (item) => number(item.processes), "number"],
      ["Restart", (item) => `${item.restart}, ${item.max_restarts} in ${item.max_seconds} s`],
      ["Handoff", (item) => (item.handoff ? `with state, within ${item.handoff_timeout_ms / 1000} s` : "without state")],
      ["Placement", (item) => `${item.distribution_strategy}, ${item.redistribution}`],
      ["Modules", (item) => mono(item.allowed_modules.join(", ") || "what the agent allows"), "wide"],
      ["Revision", (item) => number(item.revision), "number"],
      ["Nodes at it", (item) => revisions(item)],
    ],
  },
  nodes: {
    path: "/nodes",
    words: ["node", "nodes"],
    empty: "No node has joined. ./sworm agent --name n1 starts one.",
    columns: [
      ["Node", (item) => nodeLink(item.name)],
      ["Status", (item) => (item.cordoned && item.status === "alive" ? "alive, cordoned" : item.status)],
      ["Processes", (item) => number(item.processes), "number"],
      ["Capacity", (item) => String(item.capacity), "number"],
      ["Hosts", (item) => item.sworms.map((sworm) => (sworm === "*" ? "every sworm" : sworm)).join(", "), "wide"],
      ["Labels", (item) => mono(Object.entries(item.labels).map(([k, v]) => `${k}=${v}`).join(" "))],
      ["Incarnation", (item) => mono(item.incarnation)],
      ["Mesh URL", (item) => mono(item.url)],
      ["Last seen", (item) => time(item.last_seen)],
    ],
  },
};

/** Which nodes run this revision, and which another one. */
function revisions({ revision, nodes }) {
  const others = Object.entries(nodes).filter(([, theirs]) => theirs !== revision);
  const same = Object.keys(nodes).length - others.length;
  return [`${same} of ${Object.keys(nodes).length}`, ...others.map(([node, theirs]) => `${node} at ${theirs}`)].join(", ");
}

class List {
  constructor(root, spec) {
    Object.assign(this, { root, spec });
    this.cursor = null;
    this.extended = false;
    this.body = h("tbody");
    this.caption = h("caption", {}, "Reading");
    this.trouble = h("p.trouble", { role: "alert", hidden: true });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.grow() }, "Show more");
    const head = spec.columns.map(([word, , kind]) => h(kind === "number" ? "th.number" : "th", { scope: "col" }, word));
    const table = h("table", {}, this.caption, h("thead", {}, h("tr", {}, head)), this.body);
    root.append(this.trouble, h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": root.dataset.title }, table), h("p.pager", {}, this.more));
  }

  async read(cursor) {
    const filters = { limit: PAGE, ...this.spec.filters, ...(cursor ? { cursor } : {}) };
    try {
      const answer = await request("GET", listPath(this.spec.path, filters));
      this.trouble.hidden = true;
      this.cursor = answer.next_cursor;
      return answer.items;
    } catch (problem) {
      say(this.trouble, `The list cannot be read: ${problem.message} What stands below is from before.`);
      this.trouble.hidden = false;
      return null;
    }
  }

  async refresh() {
    if (this.extended || document.visibilityState !== "visible") return;
    const items = await this.read(null);
    if (items !== null && !this.extended) this.show(items);
  }

  async grow() {
    this.extended = true;
    const items = await this.read(this.cursor);
    if (items !== null) this.show([...this.items, ...items]);
  }

  show(items) {
    this.items = items;
    const shown = JSON.stringify(items);
    if (shown !== this.shown) this.body.replaceChildren(...items.map((item) => this.row(item)));
    this.shown = shown;
    this.more.hidden = this.cursor === null;
    const [one, many] = this.spec.words;
    say(this.caption, items.length ? `${counted(items.length, one, many)}${this.cursor ? " shown, there are more" : ""}` : this.spec.empty);
  }

  row(item) {
    return h("tr", {}, this.spec.columns.map(([, make, kind]) => h(kind ? `td.${kind}` : "td", {}, make(item))));
  }
}

const root = document.getElementById("list");
const list = new List(root, PAGES[root.dataset.list]);
list.refresh();
window.setInterval(() => list.refresh(), AGAIN);
window.setInterval(() => tellTimes(Date.now()), 1000);
follow(document.getElementById("cluster"));
