/* The pages of sworms and of nodes: each one table, without filters.

   Law: what REST lists, in REST's order; how a table is read, kept and paged is table.js's business. */

import { command, mono, nodeLink, number, time } from "./cells.js";
import { follow } from "./cluster.js";
import { h } from "./dom.js";
import { Table } from "./table.js";

/** Which nodes run this revision, and which another one. */
function revisions({ revision, nodes }) {
  const others = Object.entries(nodes).filter(([, theirs]) => theirs !== revision);
  const same = Object.keys(nodes).length - others.length;
  return [`${same} of ${Object.keys(nodes).length}`, ...others.map(([node, theirs]) => `${node} at ${theirs}`)].join(", ");
}

/** page -> what `Table` is told of it. */
const PAGES = {
  sworms: {
    path: "/sworms",
    words: ["sworm", "sworms"],
    empty: () => [h("h2", {}, "No sworm is defined"), h("p", {}, "An agent with a worker class, the admin, or POST /api/v1/sworms defines one. This starts a cluster with those of the demo:"), command("./sworm up")],
    columns: [
      { head: "Sworm", make: (item) => h("a.mono", { href: `/?${new URLSearchParams({ sworm: item.name })}` }, item.name), rowHead: true },
      { head: "Processes", make: (item) => number(item.processes), kind: "number" },
      { head: "Restart", make: (item) => `${item.restart}, ${item.max_restarts} in ${item.max_seconds} s`, kind: "words" },
      { head: "Handoff", make: (item) => (item.handoff ? `with state, within ${item.handoff_timeout_ms / 1000} s` : "without state"), kind: "words" },
      { head: "Placement", make: (item) => `${item.distribution_strategy}, ${item.redistribution}`, kind: "words" },
      { head: "Modules", make: (item) => (item.allowed_modules.length ? mono(item.allowed_modules.join(", ")) : "what the agent allows"), kind: "words" },
      { head: "Revision", make: (item) => number(item.revision), kind: "number" },
      { head: "Nodes at it", make: revisions },
    ],
  },
  nodes: {
    path: "/nodes",
    words: ["node", "nodes"],
    empty: () => [h("h2", {}, "No node has joined"), h("p", {}, "This starts one:"), command("./sworm agent --name n1")],
    columns: [
      { head: "Node", make: (item) => nodeLink(item.name), rowHead: true },
      { head: "Status", make: (item) => (item.cordoned && item.status === "alive" ? "alive, cordoned" : item.status) },
      { head: "Processes", make: (item) => number(item.processes), kind: "number" },
      { head: "Capacity", make: (item) => String(item.capacity), kind: "number" },
      { head: "Hosts", make: (item) => item.sworms.map((sworm) => (sworm === "*" ? "every sworm" : sworm)).join(", "), kind: "wide" },
      { head: "Labels", make: (item) => mono(Object.entries(item.labels).map(([k, v]) => `${k}=${v}`).join(" ")) },
      { head: "Incarnation", make: (item) => mono(item.incarnation) },
      { head: "Mesh URL", make: (item) => mono(item.url) },
      { head: "Last seen", make: (item) => time(item.last_seen) },
    ],
  },
};

const root = document.getElementById("list");
new Table(root, { ...PAGES[root.dataset.list], key: (item) => item.name });
follow(document.getElementById("cluster"));
