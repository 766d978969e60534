/* The page of the audit: who changed what, from where, and why.

   Law: rows are shown as they were written; nothing here can change them. */

import { command, mono, time } from "./cells.js";
import { follow } from "./cluster.js";
import { h } from "./dom.js";
import { Table } from "./table.js";
import { clock, exact, moment } from "./words.js";

/** "cordoned: false → true" of what changed; null when there is no before or no after to compare. */
function changes({ before, after }) {
  if (isNothing(before) || isNothing(after)) return null;
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  return names.map((name) => `${name}: ${JSON.stringify(before[name]) ?? "none"} → ${JSON.stringify(after[name]) ?? "none"}`);
}

/** What changed, or what was before or after, and whatever else the row tells. */
function detail(item) {
  const changed = changes(item);
  if (changed !== null && isNothing(item.detail) && changed.join(", ").length < 120) return h("span.mono", {}, changed.join(", "));
  const told = toldOf({ before: item.before, after: item.after, ...item.detail });
  if (told.length === 0) return "";
  const flat = isNothing(item.before) ? toldOf({ ...item.after, ...item.detail }) : told;
  const text = flat.map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
  if (text.length < 120) return h("span.mono", {}, text);
  return h("details", {}, h("summary", {}, told.map(([name]) => name).join(", ")), h("pre", { tabindex: 0, role: "group", "aria-label": "Detail" }, JSON.stringify(Object.fromEntries(told), null, 2)));
}

const toldOf = (known) => Object.entries(known).filter(([, value]) => value !== null && value !== undefined && value !== "" && !isEmpty(value));
const isNothing = (value) => value === null || value === undefined || isEmpty(value);
const isEmpty = (value) => typeof value === "object" && Object.keys(value).length === 0;

function operation(item) {
  return item.operation ? h("a.mono", { href: `/operations/${item.operation}`, title: item.operation }, item.operation.slice(0, 8)) : "";
}

function empty() {
  return [h("h2", {}, "Nobody has changed anything yet"), h("p", {}, "Each change is one row here, whichever door it came by. This is one:"), command("./sworm cordon n1")];
}

new Table(document.getElementById("list"), {
  path: "/audit",
  words: ["change", "changes"],
  key: (item) => String(item.id),
  empty,
  filters: [
    { name: "q", label: "Search", kind: "search", placeholder: "target, reason or who" },
    { name: "actor", label: "Who, as user:name", kind: "text" },
    { name: "action", label: "Did, as node.drain", kind: "text" },
    { name: "sworm", label: "Sworm", kind: "text" },
    { name: "door", label: "By way of", kind: "choice", choices: ["rest", "page", "admin", "cli", "code"] },
  ],
  columns: [
    { head: "When", make: (item) => time(item.at) },
    { head: "At", make: (item) => h("span.mono", { title: exact(moment(item.at)) }, clock(moment(item.at))) },
    { head: "Who", make: (item) => mono(item.actor) },
    { head: "By way of", make: (item) => [item.door, item.address].filter(Boolean).join(", from "), rare: true },
    { head: "Did", make: (item) => mono(item.action), rowHead: true },
    { head: "To", make: (item) => mono(item.target), kind: "name" },
    { head: "Why", make: (item) => item.reason, kind: "words" },
    { head: "Operation", make: operation },
    { head: "Detail", make: detail, kind: "wide" },
  ],
});

follow(document.getElementById("cluster"));
