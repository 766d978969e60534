/* The live stream's state machine: what to do with each message, and what may be believed of the picture.

   Law: pure. No socket, timer, clock or element in here: `step(machine, input, now, random)` returns the next machine and the
   effects that link.js carries out in order. A diff is applied only when it begins where the picture ends; between a gap
   and its cure nothing is applied. All transitions stand in TABLE. */

export const CONNECTING = "connecting";
const LIVE = "live";
export const GAP = "gap";
export const STALE = "stale";
export const CLOSED = "closed";

/** All times in milliseconds, each with its reason. */
const LIMITS = Object.freeze({
  heartbeat: 5000, // the server's promise: one at least this often
  quiet: 12000, // two heartbeats missed, and two seconds of grace: stale
  dead: 25000, // nothing for five heartbeats: the socket is half open, connect anew
  lag: 3000, // the observer itself is this far behind: what we show is old however fresh the socket
  answer: 4000, // a resync that is not answered by then is asked again
  ahead: 2500, // a heartbeat may overtake a coalesced diff (sent every 100 ms), but not for this long
  opening: 15000, // a connection without a snapshot by then is given up; the server's own wait for a token is 10 s
  firstRetry: 400,
  lastRetry: 8000,
});

/** Resyncs asked in one gap before the connection is given up and a fresh snapshot fetched. */
const MAX_RESYNCS = 3;

/** Close codes that no retry can cure: the session ended, or this user may not look. */
const DENIED = new Set([4401, 4403]);

/** state -> event -> [next state, effects…]. An event that a state does not name changes nothing. */
export const TABLE = Object.freeze({
  [CONNECTING]: {
    opened: [CONNECTING],
    snapshot: [LIVE, "snapshot"],
    fits: [LIVE, "diff"],
    gap: [GAP, "resync"],
    even: [LIVE],
    lagging: [STALE],
    overdue: [CLOSED, "disconnect", "retry"],
    closed: [CLOSED, "retry"],
    denied: [CLOSED],
  },
  [LIVE]: {
    snapshot: [LIVE, "snapshot"],
    fits: [LIVE, "diff"],
    gap: [GAP, "resync"],
    behind: [GAP, "resync"],
    lagging: [STALE],
    quiet: [STALE],
    closed: [CLOSED, "retry"],
    denied: [CLOSED],
  },
  [GAP]: {
    snapshot: [LIVE, "snapshot"],
    fits: [LIVE, "diff"],
    unanswered: [GAP, "resync"],
    hopeless: [CLOSED, "forget", "disconnect", "retry"],
    closed: [CLOSED, "retry"],
    denied: [CLOSED],
  },
  [STALE]: {
    snapshot: [LIVE, "snapshot"],
    fits: [LIVE, "diff"],
    gap: [GAP, "resync"],
    behind: [GAP, "resync"],
    even: [LIVE],
    dead: [CLOSED, "disconnect", "retry"],
    closed: [CLOSED, "retry"],
    denied: [CLOSED],
  },
  [CLOSED]: {
    retry: [CONNECTING, "connect"],
  },
});

/** The machine before its first step. `revision` null: no picture yet. */
export function fresh(now) {
  return Object.freeze({
    state: CLOSED,
    revision: null,
    anew: true, // the next connection asks for a snapshot, not for what changed since `revision`
    heardAt: null, // the last message of any kind
    lagMs: 0, // as the last heartbeat told
    since: now, // when this state began
    askedAt: 0, // the last resync
    resyncs: 0, // asked in this gap
    aheadSince: null, // since when the server's revision has been beyond ours
    attempts: 0, // connections tried since the last one that was live
    retryAt: now,
    denied: false,
  });
}

/** How old the picture is, in ms; null when there is none. */
export function age(machine, now) {
  if (machine.revision === null || machine.heardAt === null) return null;
  return Math.max(0, now - machine.heardAt) + machine.lagMs;
}

function messageEvent(machine, message) {
  switch (message.type) {
    case "snapshot":
      return "snapshot";
    case "diff":
      if (machine.anew) return "early";
      if (message.rev_from === machine.revision) return "fits";
      return message.rev_to <= machine.revision ? "old" : "gap";
    case "heartbeat":
      if (message.lag_ms === null || message.lag_ms > LIMITS.lag) return "lagging"; // null: no observer was ever heard
      return machine.anew ? "early" : "even";
    default:
      return "unknown";
  }
}

function tickEvent(machine, now) {
  const silent = now - (machine.heardAt ?? machine.since);
  const waited = now - machine.askedAt;
  switch (machine.state) {
    case CLOSED:
      return !machine.denied && now >= machine.retryAt ? "retry" : null;
    case CONNECTING:
      return now - machine.since > LIMITS.opening ? "overdue" : null;
    case GAP:
      if (waited <= LIMITS.answer) return null;
      return machine.resyncs >= MAX_RESYNCS ? "hopeless" : "unanswered";
    case STALE:
      return silent > LIMITS.dead ? "dead" : behind(machine, now);
    default:
      return silent > LIMITS.quiet ? "quiet" : behind(machine, now);
  }
}

function behind(machine, now) {
  return machine.aheadSince !== null && now - machine.aheadSince > LIMITS.ahead ? "behind" : null;
}

/** What the input says by itself, whatever the state: heard, lag, revision of the server. */
function noted(machine, input, now) {
  if (input.kind !== "message") return machine;
  const next = { ...machine, heardAt: now };
  const message = input.message;
  if (message.type === "heartbeat") {
    next.lagMs = Math.max(0, message.lag_ms || 0);
    const ahead = machine.revision !== null && message.revision > machine.revision;
    next.aheadSince = ahead ? (machine.aheadSince ?? now) : null;
  }
  return next;
}

/** What the effects mean for the machine itself. */
const CONSEQUENCES = {
  snapshot: (machine, input) => ({ revision: input.message.revision, anew: false, lagMs: 0, aheadSince: null, attempts: 0 }),
  diff: (machine, input) => ({ revision: input.message.rev_to, lagMs: 0, aheadSince: null, attempts: 0 }),
  resync: (machine, input, now) => ({ askedAt: now, resyncs: machine.resyncs + 1, aheadSince: null }),
  forget: () => ({ anew: true }),
  connect: (machine) => ({ attempts: machine.attempts + 1 }),
  retry: (machine, input, now, random) => ({ retryAt: now + delay(machine.attempts, random) }),
  disconnect: () => ({}),
};

/** Wait before the next try: doubled each time, with a random half, so that many viewers do not return at once. */
export function delay(attempts, random) {
  const whole = Math.min(LIMITS.lastRetry, LIMITS.firstRetry * 2 ** Math.max(0, attempts - 1));
  return whole / 2 + (whole / 2) * random;
}

function eventOf(machine, input, now) {
  switch (input.kind) {
    case "message":
      return messageEvent(machine, input.message);
    case "closed":
      return DENIED.has(input.code) ? "denied" : "closed";
    case "tick":
      return tickEvent(machine, now);
    default:
      return input.kind; // opened, retry
  }
}

/**
 * One step. `input` is {kind: "opened" | "closed" | "tick" | "retry"} (closed: with `code`) or {kind: "message", message}.
 * Returns {machine, effects}: effects are "connect", "disconnect", "retry", "forget", "resync", "snapshot" and "diff".
 */
export function step(machine, input, now, random = 0.5) {
  const event = eventOf(machine, input, now);
  let next = noted(machine, input, now);
  const row = event === null ? undefined : TABLE[machine.state][event];
  if (row === undefined) return { machine: Object.freeze(next), effects: [] };
  const [state, ...effects] = row;
  if (event === "denied") next = { ...next, denied: true };
  if (state !== machine.state) next = { ...next, state, since: now, resyncs: state === GAP ? 0 : next.resyncs };
  for (const effect of effects) next = { ...next, ...CONSEQUENCES[effect](next, input, now, random) };
  return { machine: Object.freeze(next), effects };
}
