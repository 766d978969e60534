/* The cluster's health in one sentence, the worst true thing first.

   Law: pure. Each clause is {level, text}; level 3 needs a person, 2 is out of order but being dealt with, 1 is on purpose, 0
   is well. What is not known is not said: a picture that is old says so before it says anything else. */

import { CLOSED, CONNECTING, GAP, STALE, age } from "./stream.js";
import { ago, clock, count, counted, listed, moment, span } from "./words.js";

/** Names listed before "and N more". */
const NAMED = 2;

/** All clauses, worst first, facts last. `replicas` is true, false or null (not known). */
export function clauses({ model, machine, losses, acknowledged, replicas, now }) {
  const all = [
    ...pictureClauses(machine, now),
    ...deadClauses(model, losses, acknowledged, now),
    ...failedClauses(model),
    ...statusClauses(model, now),
    ...replicaClauses(replicas),
  ];
  all.sort((a, b) => b.level - a.level);
  return machine.revision === null ? all : [...all, ...facts(model, replicas)];
}

/** What the stream's state means for the picture: {level, badge, text}. */
export function picture(machine, now) {
  const old = age(machine, now);
  const shown = old === null ? "nothing shown yet" : `showing what was true ${span(old)} ago`;
  switch (machine.state) {
    case CLOSED:
      return machine.attempts === 0 && old === null ? { level: 1, badge: "connecting" } : closedPicture(machine, shown, now);
    case CONNECTING:
      return { level: old === null ? 1 : 3, badge: old === null ? "connecting" : `reconnecting, ${shown}` };
    case GAP:
      return { level: 1, badge: `catching up, ${shown}` };
    case STALE:
      return { level: 3, badge: `stale, ${shown}` };
    default:
      return { level: 0, badge: `live, ${span(old ?? 0)} old` };
  }
}

function closedPicture(machine, shown, now) {
  if (machine.denied) return { level: 3, badge: `signed out, ${shown}` };
  const wait = Math.max(0, machine.retryAt - now);
  return { level: 3, badge: `reconnecting in ${span(wait)}, ${shown}` };
}

function pictureClauses(machine, now) {
  const old = age(machine, now);
  if (machine.denied) return [{ level: 4, text: "Your session has ended: sign in again to go on" }];
  if (old === null) return [{ level: 1, text: machine.attempts > 1 ? "The live stream does not answer" : "Connecting to the live stream" }];
  const at = clock(now - old);
  if (machine.state === STALE) return [{ level: 4, text: `${staleReason(machine)}: this is how it was at ${at}` }];
  if (machine.state === CLOSED || machine.state === CONNECTING) {
    return [{ level: 4, text: `Disconnected from the control plane: this is how it was at ${at}` }];
  }
  return [];
}

function staleReason(machine) {
  return machine.lagMs > 0 ? `The observer is ${span(machine.lagMs)} behind` : "No sign of life from the observer";
}

function deadClauses(model, losses, acknowledged, now) {
  const found = [];
  for (const node of model.nodes.values()) {
    if (node.status === "dead" && !acknowledged(node)) found.push(deadClause(node, losses.of(node.name), model, now));
  }
  return found;
}

function deadClause(node, loss, model, now) {
  if (loss === undefined || loss.total === 0) {
    const left = model.on(node.name).size;
    const seen = moment(node.last_seen);
    const died = seen === null ? `${node.name} is dead` : `${node.name} died ${ago(seen, now)}`;
    const text = `${died}: ${left ? `${counted(left, "process", "processes")} not back yet` : "nothing is left on it"}`;
    return { level: left ? 3 : 2, text };
  }
  const where = loss.on.length ? ` on ${listed(loss.on)}` : "";
  const text = `${node.name} lost ${ago(loss.at, now)}: ${count(loss.back)} of ${counted(loss.total, "process", "processes")} back${where}`;
  return { level: loss.back < loss.total ? 3 : 2, text };
}

function failedClauses(model) {
  const n = model.states.get("failed") ?? 0;
  if (n === 0) return [];
  const names = [];
  for (const process of model.processes.values()) {
    if (process.state === "failed") names.push(`${process.sworm}/${process.name}`);
    if (names.length === NAMED) break;
  }
  const more = n > names.length ? ` and ${count(n - names.length)} more` : "";
  return [{ level: 3, text: `${counted(n, "process has", "processes have")} failed: ${names.join(", ")}${more}` }];
}

const STATUS_CLAUSES = {
  suspect: (node) => ({ level: 2, text: `${node.name} does not answer` }),
  draining: (node, left) => ({
    level: 1,
    text: left ? `${node.name} is draining: ${counted(left, "process", "processes")} still to move` : `${node.name} is drained`,
  }),
};

function statusClauses(model) {
  const found = [];
  for (const node of model.nodes.values()) {
    const clause = STATUS_CLAUSES[node.status]?.(node, model.on(node.name).size);
    if (clause) found.push(clause);
  }
  return found;
}

function replicaClauses(replicas) {
  return replicas === false ? [{ level: 2, text: "replicas differ" }] : [];
}

/** Nodes that take part: neither dead nor gone. */
export function present(model) {
  return [...model.nodes.values()].filter((node) => node.status !== "dead" && node.status !== "left");
}

function facts(model, replicas) {
  const said = [
    { level: 0, text: counted(present(model).length, "node", "nodes") },
    { level: 0, text: counted(model.processes.size - (model.tally().get("unknown") ?? 0), "process", "processes") },
  ];
  if (replicas === true) said.push({ level: 0, text: "replicas agree" });
  return said;
}
