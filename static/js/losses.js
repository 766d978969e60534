/* What a dead node took with it, and how much of that is back.

   Law: pure. Learns from the model's changes alone and says only what was seen: a node that was dead before the page was
   opened has no loss here. A loss ends when the node returns or is forgotten. */

/** ms for which what left a node that did not answer is remembered: it counts as lost with the node once that is called dead. */
const BEFORE = 60000;

/** The same for what started elsewhere while the node still seemed well: the word of its death may come just after that. What is handed
 * off says so first, unless it is done before anybody is told. */
const JUST_BEFORE = 2000;

const IN_DOUBT = new Set(["suspect", "dead"]);

export class Losses {
  constructor() {
    this.byNode = new Map(); // node -> {at, names: Map(key -> node where it is back, or null)}
    this.recent = []; // [{key, node, until}] of processes that left a node as they do when it dies
  }

  /** Take one change of the model. */
  note(change, model, now) {
    this.recent = this.recent.filter((left) => now < left.until);
    const moved = change.moved.map((move) => move.before);
    for (const process of [...change.removed, ...moved]) {
      if (IN_DOUBT.has(model.nodes.get(process.node)?.status)) this.recent.push({ key: process.key, node: process.node, until: now + BEFORE });
    }
    for (const process of moved) {
      if (process.state !== "handing_off") this.recent.push({ key: process.key, node: process.node, until: now + JUST_BEFORE });
    }
    for (const { node, before } of change.nodes) this.noteNode(node, before, model, now);
    for (const name of change.gone) this.byNode.delete(name);
    this.follow([...change.added, ...change.moved.map((move) => move.process)]);
    for (const process of change.removed) this.settle(process.key, null);
  }

  noteNode(node, before, model, now) {
    if (node.status !== "dead") {
      this.byNode.delete(node.name);
    } else if (before && before.status !== "dead") {
      this.byNode.set(node.name, { at: now, names: this.taken(node.name, model) });
    }
  }

  taken(node, model) {
    const names = new Map();
    for (const key of model.on(node).keys()) names.set(key, null);
    for (const left of this.recent) {
      if (left.node === node) names.set(left.key, otherThan(node, model.processes.get(left.key)));
    }
    return names;
  }

  follow(processes) {
    for (const process of processes) this.settle(process.key, process.node);
  }

  settle(key, where) {
    for (const [node, loss] of this.byNode) if (loss.names.has(key)) loss.names.set(key, where === node ? null : where);
  }

  /** {at, total, back, on: [nodes]} of a node's death, or undefined when it was not seen to die. */
  of(node) {
    const loss = this.byNode.get(node);
    if (loss === undefined) return undefined;
    const places = [...loss.names.values()].filter((where) => where !== null);
    return { at: loss.at, total: loss.names.size, back: places.length, on: [...new Set(places)].sort() };
  }
}

function otherThan(node, process) {
  return process && process.node !== node ? process.node : null;
}
