/* The page of replicas: each node's copy of each registry, as last observed. */

import { mono, nodeLink, number, time } from "./cells.js";
import { follow } from "./cluster.js";
import { h } from "./dom.js";
import { Table } from "./table.js";
import { counted } from "./words.js";

new Table(document.getElementById("list"), {
  path: "/replicas",
  words: ["replica", "replicas"],
  key: (item) => `${item.node} ${item.sworm}`,
  empty: () => [h("h2", {}, "No replica was observed yet"), h("p", {}, "The observer records one of each node and sworm every few seconds; it runs with the others:"), h("div.command", {}, h("code", {}, "./sworm up"))],
  columns: [
    { head: "Node", make: (item) => nodeLink(item.node) },
    { head: "Sworm", make: (item) => mono(item.sworm || "(directory)"), rowHead: true },
    { head: "Entries", make: (item) => number(item.size), kind: "number" },
    { head: "Digest", make: (item) => h("span.mono", { title: item.digest }, item.digest.slice(0, 16)) },
    { head: "Behind", make: (item) => (item.behind ? counted(item.behind, "version", "versions") : "up to date") },
    { head: "Observed", make: (item) => time(item.observed_at) },
  ],
});
follow(document.getElementById("cluster"));
