/* The cluster's health in one sentence, on pages that do not hold the live picture.

   Law: told from the list of nodes alone, the worst first; how old it is stands in it. */

import { request } from "./api.js";
import { h } from "./dom.js";
import { ago, counted, listed, moment } from "./words.js";

/** ms between two looks. */
const LOOK = 4000;

/** The sentence's clauses, worst first: [{level, text}]. */
export function clauses(nodes, now) {
  const by = (status) => nodes.filter((node) => node.status === status);
  const said = [];
  for (const node of by("dead")) said.push(deadClause(node, now));
  for (const node of by("suspect")) said.push({ level: 2, text: `${node.name} does not answer` });
  if (by("draining").length) said.push({ level: 1, text: `${listed(by("draining").map((node) => node.name))} draining` });
  const here = nodes.filter((node) => node.status !== "left" && node.status !== "dead");
  const processes = here.reduce((sum, node) => sum + node.processes, 0);
  said.push({ level: here.length ? 0 : 2, text: here.length ? `${counted(here.length, "node", "nodes")} · ${counted(processes, "process", "processes")}` : "no node has joined" });
  return said;
}

/** Whoever died needs a person only while something is missing: what the map says of it too. */
function deadClause({ name, last_seen: seen, processes }, now) {
  const died = `${name} died ${ago(moment(seen), now)}`;
  if (processes > 0) return { level: 3, text: `${died}: ${counted(processes, "process", "processes")} not back yet` };
  return { level: 2, text: `${died}: nothing is left on it` };
}

/** Keep `element` saying it; `heard(nodes)` gets each answer. */
export function follow(element, heard = () => {}) {
  let shown = "";
  const put = (said) => {
    const text = JSON.stringify(said);
    if (text === shown) return;
    shown = text;
    element.replaceChildren(...said.flatMap((clause, i) => [i ? " · " : "", h(`span.clause.level-${clause.level}`, {}, clause.text)]));
  };
  const look = async () => {
    if (document.visibilityState !== "visible") return;
    try {
      const { items } = await request("GET", "/nodes?limit=1000");
      put(clauses(items, Date.now()));
      heard(items);
    } catch (problem) {
      put([{ level: 2, text: problem.status === 0 ? "The control plane does not answer; this is what was true before" : `The nodes cannot be read: ${problem.message}` }]);
    }
  };
  look();
  window.setInterval(look, LOOK);
}
