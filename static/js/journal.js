/* What was seen to happen since the page was opened, in sentences, many of one kind told as one.

   Law: pure. Told from the model's changes alone, so it says what the map showed and nothing else; the full history is in the events.
   Entries of one kind within `TOGETHER` become one, so that a storm stays readable. */

import { count, counted, listed, stateWord } from "./words.js";

/** ms within which events of one kind are told together. */
const TOGETHER = 2500;
/** Entries kept. */
const KEPT = 40;
/** ms for which a process that vanished and turns up elsewhere is told as moved. */
const RETURNS = 15000;

const NODE_SAID = {
  suspect: (name) => [2, `${name} does not answer`],
  dead: (name) => [3, `${name} was declared dead`],
  left: (name) => [1, `${name} left the cluster`],
  draining: (name) => [1, `${name} is draining`],
};

const SAID = {
  failed: (who, where) => [3, `${who} failed on ${where.to}`],
  restarted: (who, where) => [1, `${who} restarted on ${where.to}`],
  moved: (who, where) => [1, `${who} moved ${where.apart ? `from ${where.from} to ${where.to}` : `between ${where.to}`}`],
  rehomed: (who, where) => [1, `${who} of ${where.from} started again on ${where.to}`],
  started: (who, where) => [0, `${who} started on ${where.to}`],
  stopped: (who, where) => [0, `${who} stopped on ${where.from}`],
};

export class Journal {
  constructor() {
    this.entries = []; // newest first: {at, kind, keys: Set, from: Set, to: Set} or {at, level, text}
    this.vanished = new Map(); // key -> {node, at}
  }

  /** Take one change of the model. The first picture is no news. */
  note(change, model, now, first = false) {
    if (first) return;
    for (const { node, before } of change.nodes) this.noteNode(node, before, now);
    for (const process of change.removed) this.noteRemoved(process, model, now);
    for (const process of change.added) this.noteAdded(process, model, now);
    for (const { process, before } of change.moved) this.noteMoved(process, before.node, model, now);
    for (const { process, before } of change.updated) this.noteUpdated(process, before, now);
    this.entries.length = Math.min(this.entries.length, KEPT);
    for (const [key, left] of this.vanished) if (now - left.at > RETURNS) this.vanished.delete(key);
  }

  noteNode(node, before, now) {
    if (before === undefined) this.say(1, `${node.name} joined`, now);
    else if (before.status !== node.status) this.say(...nodeSaid(node, before), now);
    else if (Boolean(before.cordoned) !== Boolean(node.cordoned)) {
      this.say(1, node.cordoned ? `${node.name} was cordoned: it takes no new processes` : `${node.name} takes new processes again`, now);
    }
  }

  noteRemoved(process, model, now) {
    this.vanished.set(process.key, { node: process.node, at: now });
    if (!isLost(model.nodes.get(process.node))) this.tell("stopped", process, process.node, null, now);
  }

  noteMoved(process, from, model, now) {
    const kind = isLost(model.nodes.get(from)) ? "rehomed" : "moved";
    this.tell(kind, process, from, process.node, now);
  }

  noteAdded(process, model, now) {
    const left = this.vanished.get(process.key);
    this.vanished.delete(process.key);
    if (left && left.node !== process.node) this.noteMoved(process, left.node, model, now);
    else this.tell("started", process, null, process.node, now);
  }

  noteUpdated(process, before, now) {
    if (process.state === "failed" && before.state !== "failed") this.tell("failed", process, null, process.node, now);
    else if (process.pid !== before.pid || (process.restarts ?? 0) > (before.restarts ?? 0)) {
      this.tell("restarted", process, null, process.node, now);
    }
  }

  say(level, text, now) {
    this.entries.unshift({ at: now, level, text });
  }

  tell(kind, process, from, to, now) {
    let entry = this.entries.find((known) => known.kind === kind && now - known.at < TOGETHER);
    if (entry === undefined) {
      entry = { at: now, kind, keys: new Map(), from: new Set(), to: new Set() };
      this.entries.unshift(entry);
    }
    entry.keys.set(process.key, process);
    if (from !== null) entry.from.add(from);
    if (to !== null) entry.to.add(to);
  }

  /** The newest `n` entries: {at, level, text, key} (key: the one process meant, or null). */
  told(n) {
    return this.entries.slice(0, n).map((entry) => ({ at: entry.at, key: null, ...(entry.kind ? worded(entry) : entry) }));
  }
}

function isLost(node) {
  return node?.status === "dead" || node?.status === "suspect";
}

function nodeSaid(node, before) {
  if (node.status === "alive") return [1, before.status === "suspect" ? `${node.name} answers again` : `${node.name} is back`];
  return NODE_SAID[node.status]?.(node.name) ?? [1, `${node.name} is ${stateWord(node.status)}`];
}

function worded(entry) {
  const only = entry.keys.size === 1 ? [...entry.keys.values()][0] : null;
  const who = only ? `${only.sworm}/${only.name}` : counted(entry.keys.size, "process", "processes");
  const names = (set) => (set.size > 4 ? `${count(set.size)} nodes` : listed([...set].sort()));
  const apart = [...entry.from].every((node) => !entry.to.has(node));
  const [level, text] = SAID[entry.kind](who, { from: names(entry.from), to: names(entry.to), apart });
  return { level, text, key: only?.key ?? null };
}
