/* The life of a name: its incarnations, each with where it ran, why it began, why it ended.

   Law: pure, told from the history alone. What the history does not say is said to be unknown, never guessed. An incarnation is a pid; the
   epoch orders them where it is known, the time otherwise. */

import { moment } from "./words.js";

/** Kinds that begin an incarnation, and those that end one; what is neither is a note in it. */
const BEGINS = new Set(["started", "restarted", "rehomed"]);
const ENDS = new Set(["crashed", "failed", "exited", "stopped", "unregistered", "moved", "lost"]);

const MOVED_TO = /^to (\S+) as (\S+?)(?:, epoch (\d+))?$/;
const ARRIVED_FROM = /^from (\S+), where it was (\S+)/;
const DEPARTED = /^(\S+) departed with its node/;

const ENDED = {
  crashed: "Crashed",
  failed: "Crashed once more, and was not restarted again",
  exited: "Ended by itself",
  stopped: "Stopped, as its node left",
  unregistered: "Stopped on request: its name was freed",
  lost: "Lost with its node",
};

const nodeOf = (pid) => pid.split(".").slice(0, -2).join(".") || pid;

function life(found, pid) {
  if (!found.has(pid)) found.set(pid, { pid, node: nodeOf(pid), epoch: null, at: null, begin: null, end: null, from: null, notes: [] });
  return found.get(pid);
}

function take(found, event) {
  const one = life(found, event.pid);
  const at = moment(event.at);
  if (event.epoch) one.epoch = event.epoch;
  one.at = one.at === null ? at : Math.min(one.at, at);
  const departed = DEPARTED.exec(event.detail);
  if (departed) lose(life(found, departed[1]), at);
  if (BEGINS.has(event.kind)) begin(one, event, at);
  else if (event.kind === "moved") move(found, one, event, at);
  else if (event.kind === "arrived") arrive(found, one, event, at);
  else if (ENDS.has(event.kind)) end(one, { kind: event.kind, at, detail: event.detail });
  else one.notes.push({ kind: event.kind, at, detail: event.detail, node: event.node });
}

function lose(one, at) {
  one.at ??= at - 1; // it was there before whatever took its place
  end(one, { kind: "lost", at, detail: "" });
}

function begin(one, event, at) {
  const known = one.begin;
  // "rehomed" says why, the "started" or "restarted" that follows says when: both are kept in one.
  const kind = known?.kind === "rehomed" || event.kind === "rehomed" ? "rehomed" : event.kind;
  one.begin = { kind, at: known === null ? at : Math.max(known.at, at), detail: event.kind === "rehomed" ? event.detail : (known?.detail ?? event.detail) };
}

function move(found, one, event, at) {
  const to = MOVED_TO.exec(event.detail);
  end(one, { kind: "moved", at, detail: "", to: to?.[1] ?? null });
  if (to === null || to[2] === one.pid) return;
  const next = life(found, to[2]);
  come(next, one.node, at);
  if (to[3]) next.epoch ??= Number(to[3]);
}

/** The target tells of it as well: it is the only one where the source departed in the middle of a move. */
function arrive(found, one, event, at) {
  const from = ARRIVED_FROM.exec(event.detail);
  if (from === null) return;
  come(one, from[1], at);
  const before = life(found, from[2]);
  before.at ??= at - 1; // it was there before whatever took its place
  end(before, { kind: "moved", at, detail: "", to: one.node });
}

function come(one, node, at) {
  one.from ??= { node, at };
  one.at = one.at === null ? at : Math.min(one.at, at);
}

/** An end that says more stays: a crash with its traceback beats the giving up that follows it. */
function end(one, ended) {
  if (one.end === null) one.end = ended;
  else if (ended.kind === "failed") one.end = { ...ended, detail: [one.end.detail, ended.detail].filter(Boolean).join("\n") };
  else if (!one.end.detail && ended.detail) one.end = { ...one.end, detail: ended.detail };
}

function inOrder(a, b) {
  if (a.epoch !== null && b.epoch !== null) return b.epoch - a.epoch;
  return (b.at ?? Infinity) - (a.at ?? Infinity);
}

/**
 * The incarnations, the newest first: {pid, epoch, node, at, began: {text, at}, ended: {text, at, detail} or null, notes, current}.
 * `events` as REST lists them, in any order; `item` is the process that runs now, or null.
 */
export function lives(events, item) {
  const found = new Map();
  const old = [...events].sort((a, b) => a.revision - b.revision || a.id - b.id);
  for (const event of old) if (event.pid) take(found, event);
  if (item) {
    const now = life(found, item.pid);
    Object.assign(now, { epoch: item.epoch, node: item.node, current: true });
    now.at ??= moment(item.started_at);
  }
  const all = [...found.values()].sort(inOrder);
  return all.map((one, i) => told(one, all[i + 1] ?? null, all[i - 1] ?? null, item));
}

function told(one, before, after, item) {
  return {
    pid: one.pid, epoch: one.epoch, node: one.node, at: one.at, notes: one.notes,
    current: Boolean(one.current), began: beganOf(one, before), ended: one.current && one.end === null ? null : endedOf(one, after, item),
  };
}

function beganOf(one, before) {
  if (one.from) return { text: `Handed off from ${one.from.node}`, at: one.from.at };
  const begin = one.begin;
  if (begin === null) return { text: "How it began is not recorded", at: one.at };
  const at = begin.at;
  if (begin.kind === "rehomed") return { text: before ? `Started again after ${before.node} was lost` : "Started again after its node was lost", at };
  if (begin.kind === "started") return { text: "Registered", at };
  if (before?.end?.kind === "crashed") return { text: "Restarted after the crash", at };
  return { text: before?.end?.kind === "exited" ? "Restarted, as its sworm wants it to run always" : "Restarted on request", at };
}

function endedOf(one, after, item) {
  const end = one.end;
  if (end?.kind === "moved") return { text: end.to ? `Handed off to ${end.to}` : "Handed off", at: end.at, detail: end.detail };
  if (end) return { text: ENDED[end.kind], at: end.at, detail: end.detail };
  if (one.notes.some((note) => note.kind === "conflict")) return { text: "Gave way to another after a split", at: one.notes.at(-1).at, detail: "" };
  if (after) return { text: after.begin?.kind === "restarted" ? "Stopped, to be restarted" : "Ended; how is not recorded", at: after.at, detail: "" };
  return { text: item ? "Ended; how is not recorded" : "Stopped on request: its name was freed", at: null, detail: "" };
}
