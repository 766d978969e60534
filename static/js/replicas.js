/* The page of replicas: each node's copy of each registry as last observed, who is behind whom, and two snapshots entry by entry.

   Law: one block a sworm, one row a node, one column an origin: what a node lacks stands where it lacks it. Which snapshots are compared
   is in the address. */

import { Address } from "./address.js";
import { listPath, request } from "./api.js";
import { command, nodeLink, number, time } from "./cells.js";
import { follow } from "./cluster.js";
import { CompareView } from "./compare_view.js";
import { h, say, tellTimes } from "./dom.js";
import { current, originsOf, verdict } from "./replica_words.js";
import { sentence } from "./table.js";
import { count } from "./words.js";

/** ms between two readings. */
const AGAIN = 3000;

const root = document.getElementById("list");
const address = new Address(["sworm", "left", "right"], () => read());
const trouble = h("p.trouble", { role: "alert", hidden: true });
const blocks = h("div.replica-blocks");
const nothing = h("section.empty", { hidden: true }, h("h2", {}, "No replica was observed yet"), h("p", {}, "The observer records one of each node and sworm every few seconds. It runs with the others:"), command("./sworm up"));
const compare = new CompareView(address);
root.append(trouble, nothing, blocks, compare.element);

const known = new Map(); // sworm -> {element, shown, rows, before}: of each node the last row, and the one before that
let gone = []; // names of nodes that are dead or left

async function read() {
  if (document.visibilityState !== "visible") return;
  try {
    const rows = await all();
    trouble.hidden = true;
    show(rows);
    compare.offer(rows);
  } catch (problem) {
    say(trouble, `The replicas cannot be read: ${sentence(problem.message)}${known.size ? " What stands below is from before." : ""}`);
    trouble.hidden = false;
  }
}

async function all() {
  const rows = [];
  let cursor = null;
  do {
    const page = await request("GET", listPath("/replicas", { limit: 1000, ...(cursor ? { cursor } : {}) }));
    rows.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return rows;
}

function show(rows) {
  nothing.hidden = rows.length > 0;
  compare.element.hidden = rows.length === 0;
  const sworms = Map.groupBy ? Map.groupBy(rows, (row) => row.sworm) : grouped(rows);
  const names = [...sworms.keys()].sort();
  names.forEach((sworm, i) => {
    const element = block(sworm, sworms.get(sworm));
    if (blocks.children[i] !== element) blocks.insertBefore(element, blocks.children[i] ?? null);
  });
  while (blocks.children.length > names.length) blocks.lastChild.remove();
  tellTimes(Date.now());
}

function grouped(rows) {
  const found = new Map();
  for (const row of rows) found.set(row.sworm, [...(found.get(row.sworm) ?? []), row]);
  return found;
}

function block(sworm, rows) {
  const shown = JSON.stringify([rows, gone]);
  const last = known.get(sworm);
  if (last?.shown === shown) return last.element;
  const before = last ? rows.flatMap((row) => earlier(row, last)) : [];
  const element = last?.element ?? h("section.replica-block", { "data-sworm": sworm, "aria-label": titleOf(sworm) });
  const said = verdict(rows, { before, gone });
  element.dataset.kind = said.kind;
  element.replaceChildren(
    h("h2", {}, titleOf(sworm)),
    h(`p.verdict.level-${said.level}`, {}, said.text),
    h("div.table-scroll", { tabindex: 0, role: "region", "aria-label": `Replicas of ${titleOf(sworm)}` }, matrix(rows)),
  );
  known.set(sworm, { element, shown, rows, before });
  return element;
}

/** The row before this one of the same node, as a list of one or none. */
function earlier(row, { rows, before }) {
  const same = (one) => one.node === row.node;
  const last = rows.find(same);
  return (last?.observed_at === row.observed_at ? before : rows).filter(same);
}

const titleOf = (sworm) => sworm || "(directory)";

function matrix(rows) {
  const origins = originsOf(rows);
  const most = new Map(origins.map((origin) => [origin, Math.max(...rows.map((row) => row.versions[origin] ?? 0))]));
  const old = new Set(current(rows, gone).old);
  const head = ["Node", "Entries", "Digest", "Observed"].map((word) => h(word === "Entries" ? "th.number" : "th", { scope: "col" }, word));
  const heads = origins.map((origin) => h("th.number", { scope: "col", title: origin }, h("span.origin-of", {}, "version of "), h("span.mono", {}, short(origin, origins))));
  const body = rows.map((row) =>
    h(old.has(row) ? "tr.old" : "tr", {}, h("th", { scope: "row" }, nodeLink(row.node), old.has(row) ? h("span.faint", {}, " not observed since") : ""), h("td.number", {}, number(row.size)), h("td", {}, h("span.mono", { title: row.digest }, row.digest.slice(0, 12) || "not known")), h("td", {}, time(row.observed_at)), origins.map((origin) => version(row.versions[origin], most.get(origin)))),
  );
  return h("table.replica-table", {}, h("thead", {}, h("tr", {}, head, heads)), h("tbody", {}, body));
}

/** An origin as short as it can be told from the others. */
function short(origin, origins) {
  const [node] = origin.split(".");
  return origins.filter((other) => other.split(".")[0] === node).length > 1 ? `${node}…${origin.slice(-4)}` : node;
}

function version(value, most) {
  if (value === undefined) return h("td.number.lacking", {}, "none");
  const missing = most - value;
  return h(missing ? "td.number.lacking" : "td.number", {}, count(value), missing ? h("span.missing", {}, ` −${count(missing)}`) : "");
}

follow(document.getElementById("cluster"), (nodes) => {
  gone = nodes.filter((node) => node.status === "dead" || node.status === "left").map((node) => node.name);
});
read();
window.setInterval(read, AGAIN);
window.setInterval(() => tellTimes(Date.now()), 1000);
