/* Events as people read them.

   Law: pure wording; an event of a kind that this page does not know is shown by its own name, never dropped. */

import { moment } from "./words.js";

const SAID = {
  started: "Started",
  restarted: "Restarted",
  crashed: "Crashed",
  failed: "Gave up restarting",
  exited: "Ended by itself",
  stopped: "Stopped",
  unregistered: "Unregistered",
  rehomed: "Started again after its node died",
  moved: "Handed off",
  handoff_failed: "Handoff did not happen",
  conflict: "Ran twice after a split; settled",
  suspect: "Does not answer",
  dead: "Declared dead",
  refuted: "Spoke up again",
  peer_up: "Connected to a peer",
  peer_down: "Lost the link to a peer",
  joined: "Joined",
  left: "Left",
};

/** Kinds that say why a process was started again. */
const CAUSES = new Set(["crashed", "failed", "rehomed", "moved", "conflict", "exited"]);

/** {at, what, detail, node, pid, kind} of an event, whatever its exact fields. */
export function told(event) {
  return {
    at: moment(event.at ?? event.created_at ?? event.time ?? null),
    what: SAID[event.kind] ?? event.kind.replaceAll("_", " "),
    detail: textOf(event.detail ?? event.data ?? ""),
    node: event.node ?? "",
    pid: event.pid ?? "",
    kind: event.kind,
  };
}

function textOf(detail) {
  if (typeof detail === "string") return detail;
  if (detail === null || Object.keys(detail).length === 0) return "";
  return detail.detail ?? JSON.stringify(detail);
}

/** The newest event that explains the present incarnation; `events` newest first. */
export function cause(events) {
  return events.find((event) => CAUSES.has(event.kind));
}
