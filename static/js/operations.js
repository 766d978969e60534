/* The page of operations: what was asked for that takes a while, and what became of it, the newest first.

   Law: each row leads to the operation's own page; a problem is said in the row, in the server's words. What can be asked for is
   plan_form.js's business. */

import { request } from "./api.js";
import { beginning, mono, processLink, time } from "./cells.js";
import { follow } from "./cluster.js";
import { h } from "./dom.js";
import { ENDED, tookWords } from "./operation_words.js";
import { PlanForm } from "./plan_form.js";
import { Table } from "./table.js";
import { sworm as words } from "./twins.js";
import { count } from "./words.js";

const STATES = ["pending", "running", "succeeded", "failed", "cancelled"];
const KINDS = ["handoff", "migrate", "rebalance", "restart", "drain"];

function empty() {
  return [
    h("h2", {}, "Nothing slow was asked for yet"),
    beginning("Handing off, migrating, rebalancing, restarting a sworm and draining a node are operations. This is one:", (sworm) => words("rebalance", sworm)),
  ];
}

function target({ target: of, kind }) {
  const cut = of.indexOf("/");
  if (kind === "drain") return h("a.mono", { href: `/?${new URLSearchParams({ n: of })}` }, of);
  if (!of) return "";
  return cut < 0 ? h("a.mono", { href: `/processes?${new URLSearchParams({ sworm: of })}` }, of) : processLink(of.slice(0, cut), of.slice(cut + 1));
}

/** How far it is: a bar while it goes on, and numbers always. */
function progress(item) {
  const { done, total } = item.progress;
  if (!total) return "";
  const said = `${count(done)} of ${count(total)}`;
  if (ENDED.has(item.state)) return said;
  return h("span.row-progress", {}, h("progress.operation-bar", { max: total, value: done, "aria-label": said }), said);
}

function state(item) {
  const word = item.cancelling ? "cancelling" : item.state;
  return h("span.operation-state", { "data-state": word }, word);
}

const rights = new Set(document.body.dataset.scopes.split(" "));
const ask = new PlanForm((scope) => rights.has(scope));

new Table(document.getElementById("list"), {
  above: ask.element,
  path: "/operations",
  words: ["operation", "operations"],
  key: (item) => item.id,
  empty,
  filters: [
    { name: "state", label: "State", kind: "choice", choices: STATES },
    { name: "kind", label: "Kind", kind: "choice", choices: KINDS },
    { name: "sworm", label: "Sworm", kind: "text" },
    { name: "node", label: "Node", kind: "text" },
  ],
  columns: [
    { head: "Asked", make: (item) => time(item.created_at) },
    { head: "Operation", make: (item) => h("a", { href: `/operations/${item.id}` }, item.kind), rowHead: true },
    { head: "Of", make: target, kind: "name" },
    { head: "State", make: state },
    { head: "Progress", make: progress },
    { head: "Took", make: tookWords },
    { head: "By", make: (item) => mono(item.requested_by) },
    { head: "Why", make: (item) => item.reason, kind: "wide" },
    { head: "Problem", make: (item) => item.problem?.detail ?? "", kind: "wide" },
  ],
});

follow(document.getElementById("cluster"), (nodes) => ask.offer({ nodes }));

async function offerSworms() {
  try {
    const { items } = await request("GET", "/sworms?limit=1000");
    ask.offer({ sworms: items.map((item) => item.name) });
  } catch {
    // The list says what is wrong.
  }
}
offerSworms();
