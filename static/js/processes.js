/* The page of all processes: a table with marks, and what can be done with the marked.

   Law: marks are names in the address's fragment, so they outlive pages, filters and reloads, and are sent to nobody. What is done with
   them is one operation for each sworm; each is followed to its end in place. */

import { Action } from "./action.js";
import { request } from "./api.js";
import { beginning, copyable, mono, nodeLink, number, processLink, stateCell, time } from "./cells.js";
import { follow } from "./cluster.js";
import { confirmed } from "./confirm.js";
import { h, say } from "./dom.js";
import { Marks } from "./marks.js";
import { offerNodes, takers } from "./offer.js";
import { Table } from "./table.js";
import { sworm as words } from "./twins.js";
import { counted, STATES, stateWord } from "./words.js";

const root = document.getElementById("list");
const rights = new Set(document.body.dataset.scopes.split(" "));
const mayMark = rights.has("process:handoff") || rights.has("process:write");

const keyOf = (item) => `${item.sworm}/${item.name}`;
const marks = new Marks();

function empty() {
  return [
    h("h2", {}, "No process is registered"),
    beginning("This registers a counter:", (sworm) => words("register", sworm, "first", "examples.counters:Counter")),
  ];
}

function box(item) {
  const field = h("input", { type: "checkbox", "aria-label": `Mark ${keyOf(item)}`, onchange: () => marks.toggle(keyOf(item), field.checked) });
  field.checked = marks.has(keyOf(item));
  return field;
}

const columns = [
  { head: "State", make: (item) => stateCell(item.state), sort: "state" },
  { head: "Sworm", make: (item) => item.sworm, sort: "sworm" },
  { head: "Name", make: (item) => copyable(item.name, processLink(item.sworm, item.name, true)), sort: "name", rowHead: true, kind: "name" },
  { head: "Node", make: (item) => nodeLink(item.node), sort: "node" },
  { head: "pid", make: (item) => copyable(item.pid), rare: true },
  { head: "Epoch", make: (item) => mono(item.epoch), sort: "epoch", rare: true },
  { head: "Restarts", make: (item) => number(item.restarts), sort: "restarts", kind: "number" },
  { head: "Target", make: (item) => mono(item.target), rare: true, kind: "target" },
  { head: "Since", make: (item) => time(item.started_at), sort: "started_at" },
];
if (mayMark) columns.unshift({ head: "Mark", make: box, kind: "mark" });

const bar = h("div.marks", { hidden: true, role: "group", "aria-label": "Marked processes" });
const log = h("div.actions-log");

const table = new Table(root, {
  path: "/processes",
  words: ["process", "processes"],
  sort: { field: "sworm" },
  key: keyOf,
  empty,
  columns,
  above: h("div", {}, bar, log),
  filters: [
    { name: "q", label: "Search", kind: "search", placeholder: "name, target or pid" },
    { name: "sworm", label: "Sworm", kind: "choice" },
    { name: "node", label: "Node", kind: "choice" },
    { name: "state", label: "State", kind: "choice", choices: STATES.map((state) => [state, stateWord(state)]) },
    { name: "name_prefix", label: "Name begins", kind: "text" },
    { name: "group", label: "Group", kind: "text" },
  ],
});

// --- what is offered --------------------------------------------------------------------------------------------------------

let nodes = [];
follow(document.getElementById("cluster"), (known) => {
  nodes = known;
  table.offer("node", known.map((node) => node.name));
  showBar();
});

async function offerSworms() {
  try {
    const { items } = await request("GET", "/sworms?limit=1000");
    table.offer("sworm", items.map((item) => item.name));
  } catch {
    // The filter stays as it is; the list says what is wrong.
  }
}
offerSworms();

// --- marks --------------------------------------------------------------------------------------------------------------------

const actions = [];
const target = h("select", { "aria-label": "Move to" });
const told = h("span.marks-count", { "aria-live": "polite" });
const buttons = h("div.buttons", {});
bar.append(told, buttons);
if (rights.has("process:handoff")) buttons.append(h("span.joined", {}, h("button", { type: "button", onclick: () => move() }, "Hand off"), target));
if (rights.has("process:write")) buttons.append(h("button", { type: "button", onclick: () => restart() }, "Restart"));
buttons.append(h("button", { type: "button", onclick: () => markShown() }, "Mark this page"), h("button", { type: "button", onclick: () => marks.clear() }, "Unmark all"));

function showBar() {
  bar.hidden = marks.size === 0;
  say(told, `${counted(marks.size, "process", "processes")} marked`);
  const names = takers(nodes);
  offerNodes(target, names, "wherever it fits");
}

function markShown() {
  marks.add(table.items.map(keyOf));
}

marks.changed = () => {
  showBar();
  for (const { element, item } of table.rows.values()) {
    const field = element.querySelector("input[type=checkbox]");
    const on = marks.has(keyOf(item));
    if (field) field.checked = on;
    element.classList.toggle("marked", on);
  }
};
table.spec.row = (item, element) => element.classList.toggle("marked", marks.has(keyOf(item)));
root.addEventListener("keydown", (event) => {
  const row = event.target.closest("tbody tr");
  if (event.key !== "x" || row === null || !mayMark || event.ctrlKey || event.metaKey || event.altKey) return;
  row.querySelector("input[type=checkbox]").click();
});

function start(parts) {
  const action = new Action(parts);
  parts.self = action;
  actions.push(action);
  log.prepend(action.element);
  action.run().then(() => table.read());
}

window.setInterval(() => actions.forEach((action) => action.tick(Date.now())), 1000);

/** An operation is over when REST says so: there is no live picture here to see it in. */
const ended = (action) => action.operation?.state === "succeeded";

async function move() {
  const to = target.value || null;
  const where = to === null ? "wherever placement wants each" : `to ${to}`;
  const many = counted(marks.size, "process moves", "processes move");
  if (!(await confirmed(`Hand off ${counted(marks.size, "process", "processes")}`, `${many} ${where}, with state where the sworm hands off.`))) return;
  for (const [sworm, names] of marks.bySworm()) {
    const parts = {
      title: `Hand off ${counted(names.length, "process", "processes")} of ${sworm} ${where}`,
      ask: () => request("POST", `/sworms/${sworm}/migrate`, { to, names }),
      seen: () => ended(parts.self),
      sight: () => `${counted(names.length, "process has", "processes have")} moved`,
    };
    start(parts);
  }
}

async function restart() {
  const all = counted(marks.size, "process", "processes");
  if (!(await confirmed(`Restart ${all}`, `${counted(marks.size, "process begins", "processes begin")} anew, one after the other, without state.`, { harmful: true }))) return;
  for (const [sworm, names] of marks.bySworm()) {
    const parts = {
      title: `Restart ${counted(names.length, "process", "processes")} of ${sworm}`,
      ask: () => request("POST", `/sworms/${sworm}/restart`, { names }),
      seen: () => ended(parts.self),
      sight: () => `${counted(names.length, "process has", "processes have")} begun anew`,
    };
    start(parts);
  }
}

marks.changed();
