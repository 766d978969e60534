/* What an operation says of itself: its name, its sentence, its rate, and the same request for scripts.

   Law: pure. Told from REST's items alone; no figure is said that is not known yet. */

import { count, counted, moment, span } from "./words.js";

export const ENDED = new Set(["succeeded", "failed", "cancelled"]);

const VERBS = { handoff: "Hand off", migrate: "Migrate", rebalance: "Rebalance", restart: "Restart", drain: "Drain" };

/** state of a step -> [shape of its mark, words]. Shapes are those of processes: what is done is solid. */
export const STEP_STATES = Object.freeze({
  waiting: ["starting", "waiting"],
  asked: ["handing_off", "under way"],
  done: ["running", "done"],
  failed: ["failed", "failed"],
  gone: ["unknown", "gone by itself"],
  skipped: ["unknown", "not begun"],
});

/** Which scope cancels which kind. */
const SCOPES = { drain: "node:drain", restart: "process:write" };

export function scopeOf(kind) {
  return SCOPES[kind] ?? "process:handoff";
}

/** The operation's name: verb, target, where from and where to. */
export function nameOf({ kind, target, asked = {} }) {
  const from = asked.from ? ` from ${asked.from}` : "";
  const to = asked.to ? ` to ${asked.to}` : "";
  return `${VERBS[kind] ?? kind} ${target}${from}${to}`;
}

/** Where it stands, in one sentence. */
export function sentence(operation, now) {
  const { state, cancelling, created_at: asked, started_at: started } = operation;
  if (state === "pending") return `Asked for ${span(now - moment(asked))} ago; no observer has taken it up yet`;
  const took = tookWords(operation);
  if (state === "succeeded") return `Succeeded after ${took}`;
  if (state === "failed") return `Failed after ${took}`;
  if (state === "cancelled") return `Cancelled by ${operation.cancelled_by || "somebody"} after ${took}`;
  const since = span(now - moment(started));
  return cancelling ? `Cancelled by ${operation.cancelled_by}: what is under way finishes, nothing more begins` : `Running for ${since}`;
}

/** How long it took, once it has ended. */
export function tookWords({ created_at: asked, started_at: started, ended_at: ended }) {
  return ended ? span(moment(ended) - moment(started ?? asked)) : "";
}

/** "34 of 104 processes · 12 a second · 6 s left" */
export function progressWords({ progress: { done, total }, started_at: started, ended_at: ended, state }, now) {
  const said = [`${count(done)} of ${counted(total, "process", "processes")}`];
  const seconds = started === null ? 0 : ((ended ? moment(ended) : now) - moment(started)) / 1000;
  if (done > 1 && seconds >= 1) said.push(rate(done / seconds));
  if (state === "running" && done > 0 && done < total && seconds >= 2) said.push(`about ${span(((total - done) * seconds * 1000) / done)} left`);
  return said.join(" · ");
}

function rate(perSecond) {
  return perSecond >= 1 ? `${count(Math.round(perSecond))} a second` : `${count(Math.round(perSecond * 60))} a minute`;
}

/** Names that a twin can carry before it is no use to anybody. */
const MOST_NAMES = 50;

/**
 * The same request for scripts: {path, body, words}, `words` being those after ./sworm; null when it cannot be said.
 * `names` are the operation's processes, as far as they are known.
 */
export function again({ kind, target, asked = {} }, names) {
  const cut = target.indexOf("/");
  const [sworm, name] = cut < 0 ? [target, ""] : [target.slice(0, cut), target.slice(cut + 1)];
  const to = asked.to ? ["--to", asked.to] : [];
  const pace = asked.max_per_minute ? { max_per_minute: asked.max_per_minute } : {};
  const paceWords = asked.max_per_minute ? ["--max-per-minute", String(asked.max_per_minute)] : [];
  switch (kind) {
    case "drain":
      return { path: `/nodes/${target}/drain`, body: { deadline_s: asked.deadline_s }, words: ["drain", target, "--deadline-s", String(asked.deadline_s)] };
    case "handoff":
      return { path: `/sworms/${sworm}/processes/${encodeURIComponent(name)}/handoff`, body: { to: asked.to ?? null }, words: ["handoff", sworm, name, ...to] };
    case "rebalance":
      return { path: `/sworms/${sworm}/rebalance`, body: { ...pace, dwell_s: asked.dwell_s }, words: ["rebalance", sworm, ...paceWords, "--dwell-s", String(asked.dwell_s)] };
    case "restart":
      if (asked.named && (names.length !== asked.named || names.length > MOST_NAMES)) return null;
      return restarting(sworm, asked, asked.named ? names : [], { pace, paceWords });
    case "migrate":
      if (!asked.from && (names.length === 0 || names.length > MOST_NAMES)) return null;
      return migration(sworm, asked, names, { pace, paceWords, to });
    default:
      return null;
  }
}

function restarting(sworm, asked, names, { pace, paceWords }) {
  const body = { ...(names.length > 0 ? { names } : {}), ...pace, max_at_once: asked.max_at_once };
  if (names.length === 1) return { path: `/sworms/${sworm}/processes/${encodeURIComponent(names[0])}/restart`, body: {}, words: ["restart", sworm, names[0]] };
  return { path: `/sworms/${sworm}/restart`, body, words: ["restart", sworm, ...names, ...paceWords, "--max-at-once", String(asked.max_at_once)] };
}

function migration(sworm, asked, names, { pace, paceWords, to }) {
  const path = `/sworms/${sworm}/migrate`;
  if (asked.from) return { path, body: { from: asked.from, to: asked.to ?? null, ...pace }, words: ["migrate", sworm, "--from", asked.from, ...to, ...paceWords] };
  const named = names.flatMap((name) => ["--name", name]);
  return { path, body: { names, to: asked.to ?? null, ...pace }, words: ["migrate", sworm, ...named, ...to, ...paceWords] };
}
