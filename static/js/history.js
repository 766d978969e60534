/* Events as people read them.

   Law: pure wording; an event of a kind that this page does not know is shown by its own name, never dropped. */

import { moment } from "./words.js";

const SAID = {
  started: "Started",
  restarted: "Restarted",
  arrived: "Went on here after a handoff",
  crashed: "Crashed",
  failed: "Gave up restarting",
  exited: "Ended by itself",
  unregistered: "Stopped on request; its name was freed",
  stopped: "Stopped, as its node left",
  lost: "Lost with its node",
  rehomed: "Started again after its node died",
  moved: "Handed off",
  handoff_failed: "Handoff did not happen",
  left_behind: "Went on without its state",
  operation_started: "Operation began",
  operation_resumed: "Operation goes on after a change of observer",
  operation_succeeded: "Operation succeeded",
  operation_failed: "Operation failed",
  operation_cancelled: "Operation was cancelled",
  drain_ended: "Drain ended",
  drain_cancelled: "Drain was cancelled",
  checkpoint_failed: "Checkpoint could not be taken",
  conflict: "Gave way to another after a split",
  suspect: "Does not answer",
  dead: "Declared dead",
  refuted: "Spoke up again",
  relayed: "Is reached through another node",
  direct: "Has a direct link again",
  ended: "Is over",
  paused: "Was paused",
  repaired: "A copy of the registry was repaired",
  definition_refused: "Cannot obey the definition",
  refused_peer: "Refused a peer",
  refused_message: "Refused a message of a peer",
  command_dropped: "A command came too late, or for another incarnation",
  waiting: "Waits for a node that may run it",
  strategy_failed: "The sworm's own strategy failed",
  redistribution: "Processes follow their strategy",
  no_quorum: "Has no majority in reach",
};

/** Kinds to choose from, each with its words. */
export const KINDS = Object.freeze(Object.entries(SAID));

/** How the node belongs to what happened. */
const WHERE = { moved: "from", handoff_failed: "from" };

/** Kinds that say why a process was started again. */
const CAUSES = new Set(["crashed", "failed", "rehomed", "moved", "conflict", "exited"]);

/** {at, what, where, detail, kind} of an event. */
export function told(event) {
  return {
    at: moment(event.at),
    what: SAID[event.kind] ?? event.kind.replaceAll("_", " "),
    detail: event.detail ?? "",
    where: event.node ? ` ${WHERE[event.kind] ?? "on"} ${event.node}` : "",
    kind: event.kind,
  };
}

/** ms around a first start within which a cause belongs to it: source and target of a move report on their own. */
const NEAR = 10000;

/** The newest event that explains the present incarnation, if one does; `events` newest first. */
export function cause(events) {
  const start = events.find((event) => event.kind === "started" || event.kind === "restarted");
  const belongs = (event) => !start || start.kind === "restarted" || event.at > start.at - NEAR;
  return events.find((event) => CAUSES.has(event.kind) && belongs(event));
}
