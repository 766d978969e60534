/* What is known of the cluster: nodes and processes, as the stream told.

   Law: pure data, changed only by `snapshot` and `diff`, which return exactly what changed. Counts are kept with each change,
   so that reading them costs nothing at any size. Both row forms of the stream are read: lists of items, or columns and rows. */

import { COLLATOR } from "./words.js";

/** Keys join the sworm (which has no NUL) and the name. */
export function keyOf(sworm, name) {
  return `${sworm}\u0000${name}`;
}

/** [sworm, name] of a key. */
export function partsOf(key) {
  const cut = key.indexOf("\u0000");
  return [key.slice(0, cut), key.slice(cut + 1)];
}

/** The items of either row form. */
export function items(rows) {
  if (Array.isArray(rows)) return rows;
  if (!rows || !Array.isArray(rows.rows)) return [];
  const columns = rows.columns;
  return rows.rows.map((row) => {
    const item = {};
    for (let i = 0; i < columns.length; i += 1) item[columns[i]] = row[i];
    return item;
  });
}

function nothing() {
  return { reset: false, added: [], removed: [], moved: [], updated: [], nodes: [], gone: [] };
}

export class Model {
  constructor() {
    this.clear();
  }

  clear() {
    this.revision = null;
    this.nodes = new Map(); // name -> item
    this.processes = new Map(); // key -> item with `key`
    this.byNode = new Map(); // node -> Map(key -> item), in order of arrival
    this.states = new Map(); // state -> count
    this.sworms = new Map(); // sworm -> count
  }

  /** Processes of a node: a Map, empty for a node that is not known. */
  on(node) {
    return this.byNode.get(node) ?? EMPTY;
  }

  /** Processes by what is known of their state: of those on a dead node nothing is. */
  tally() {
    const known = new Map(this.states);
    for (const node of this.nodes.values()) {
      if (node.status !== "dead") continue;
      for (const process of this.on(node.name).values()) {
        bump(known, process.state, -1);
        bump(known, "unknown", 1);
      }
    }
    return known;
  }

  /** Replace everything. What stayed as it was is not in the answer, so that a resync moves nothing that did not move. */
  snapshot(message) {
    const change = nothing();
    change.reset = true;
    this.revision = message.revision;
    this.replaceNodes(items(message.nodes), change);
    const present = new Set();
    for (const item of items(message.processes)) {
      present.add(keyOf(item.sworm, item.name));
      this.upsert(item, change);
    }
    for (const key of [...this.processes.keys()]) if (!present.has(key)) this.remove(key, change);
    return change;
  }

  /** Apply a diff that fits; the caller (stream.js) has made sure that it does. */
  diff(message) {
    const change = nothing();
    this.revision = message.rev_to;
    for (const node of items(message.nodes)) this.upsertNode(node, change);
    for (const [sworm, name] of message.removed) this.remove(keyOf(sworm, name), change);
    for (const item of items(message.upserts)) this.upsert(item, change);
    return change;
  }

  /** An operator forgot a node that is over. */
  forget(name) {
    const change = nothing();
    this.forgetNode(name, change);
    return change;
  }

  replaceNodes(list, change) {
    const present = new Set(list.map((node) => node.name));
    for (const name of [...this.nodes.keys()]) if (!present.has(name)) this.forgetNode(name, change);
    for (const node of list) this.upsertNode(node, change);
  }

  upsertNode(item, change) {
    if (item.removed || item.status === "forgotten") {
      this.forgetNode(item.name, change);
      return;
    }
    const before = this.nodes.get(item.name);
    const node = { ...before, ...item };
    this.nodes.set(item.name, node);
    change.nodes.push({ node, before });
  }

  forgetNode(name, change) {
    if (this.nodes.delete(name)) change.gone.push(name);
  }

  upsert(item, change) {
    const key = keyOf(item.sworm, item.name);
    const before = this.processes.get(key);
    const process = { ...before, ...item, key };
    this.processes.set(key, process);
    if (before === undefined) this.enter(process, change);
    else this.replace(before, process, change);
  }

  enter(process, change) {
    this.place(process);
    this.count(process, 1);
    change.added.push(process);
  }

  replace(before, process, change) {
    if (before.state !== process.state) {
      bump(this.states, before.state, -1);
      bump(this.states, process.state, 1);
    }
    if (before.node !== process.node) {
      this.byNode.get(before.node)?.delete(before.key);
      this.place(process);
      change.moved.push({ process, before });
    } else {
      this.place(process);
      if (differs(before, process)) change.updated.push({ process, before });
    }
  }

  remove(key, change) {
    const process = this.processes.get(key);
    if (process === undefined) return;
    this.processes.delete(key);
    this.byNode.get(process.node)?.delete(key);
    this.count(process, -1);
    change.removed.push(process);
  }

  place(process) {
    let here = this.byNode.get(process.node);
    if (here === undefined) this.byNode.set(process.node, (here = new Map()));
    here.set(process.key, process);
  }

  count(process, by) {
    bump(this.states, process.state, by);
    bump(this.sworms, process.sworm, by);
  }
}

const EMPTY = new Map();

/** Whether anything that a cell or a drawer shows is different. */
function differs(a, b) {
  return a.state !== b.state || a.epoch !== b.epoch || a.pid !== b.pid || a.restarts !== b.restarts;
}

function bump(counts, what, by) {
  const next = (counts.get(what) ?? 0) + by;
  if (next === 0) counts.delete(what);
  else counts.set(what, next);
}

/** Order of two processes for people: by sworm, then by name with numbers as numbers. */
export function inOrder(a, b) {
  return a.sworm === b.sworm ? COLLATOR.compare(a.name, b.name) : COLLATOR.compare(a.sworm, b.sworm);
}
