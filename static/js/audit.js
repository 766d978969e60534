/* The page of the audit: who changed what, from where, and why.

   Law: rows are shown as they were written; nothing here can change them. */

import { mono, time } from "./cells.js";
import { follow } from "./cluster.js";
import { copyButton, h } from "./dom.js";
import { Table } from "./table.js";
import { clock, exact, moment } from "./words.js";

function detail(item) {
  const known = Object.entries(item.detail ?? {}).filter(([, value]) => value !== null && value !== "");
  if (known.length === 0) return "";
  const text = known.map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return text.length < 4 && text.join().length < 120 ? h("span.mono", {}, text.join(", ")) : h("details", {}, h("summary", {}, `${known.length} values`), h("pre", { tabindex: 0, role: "group", "aria-label": "Detail" }, JSON.stringify(item.detail, null, 2)));
}

function empty() {
  const text = "./sworm cordon n1";
  return [h("h2", {}, "Nobody has changed anything yet"), h("p", {}, "Each change is one row here, whichever door it came by. This is one:"), h("div.command", {}, h("code", {}, text), copyButton(text, "command"))];
}

new Table(document.getElementById("list"), {
  path: "/audit",
  words: ["change", "changes"],
  key: (item) => String(item.id),
  empty,
  filters: [{ name: "actor", label: "Who, as user:name", kind: "text" }],
  columns: [
    { head: "When", make: (item) => time(item.at) },
    { head: "At", make: (item) => h("span.mono", { title: exact(moment(item.at)) }, clock(moment(item.at))) },
    { head: "Who", make: (item) => mono(item.actor) },
    { head: "Did", make: (item) => mono(item.action), rowHead: true },
    { head: "To", make: (item) => mono(item.target), kind: "name" },
    { head: "Why", make: (item) => item.reason, kind: "wide" },
    { head: "Detail", make: detail, kind: "wide" },
  ],
});

follow(document.getElementById("cluster"));
