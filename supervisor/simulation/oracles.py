"""The named invariants, as docs/protocol.md lists them, and the error that says that one broke.

Law: each is judged by one of the oracles (`safety` after every step, `agreement` and the features' own after the heal),
and fails by its name.
"""

from __future__ import annotations

#: Names of all invariants, with what each says.
INVARIANTS = {
    "epoch-once": "no epoch of a name is given to two pids",
    "epochs-grow": "on one node, whatever of a name opens has a higher epoch than what opened before",
    "one-per-view": "a name is granted only while nobody in the agreed view lists it",
    "one-grant": "what one grant of a name led to accepts in one place, as far as whoever opens it can know",
    "copy-is-map": "a copy at version v is exactly its origin's map at v",
    "acknowledged-is-held": "what is acknowledged is held by another live node, if there is one",
    "acknowledged-survives": "an acknowledged registration outlives any one node",
    "accepts-is-registered": "who accepts messages has its entry in its host's map; a removal touches no other",
    "one-process": "after a heal each registered name runs once, and accepts messages in one place",
    "runs-is-registered": "what runs and what is registered are the same set",
    "one-reply": "every ask ends in exactly one reply",
    "claim-once": "equal claims start one process",
    "loser-is-outranked": "a process ends by a conflict only while another outranks it, or its name is void",
    "drained-is-empty": "a drain that says done leaves no process",
    "handoff-keeps-state": "a handoff loses no acknowledged change",
    "opens-by-commit": "a target opens after its source has committed, which never thaws from then on",
    "detour-serves": "nodes that lost their cable, and both reach a third, serve and see each other through it",
    "views-agree": "after a heal all nodes agree on one view and hold the same copies",
    "ties-follow": "further names and groups stand with their process and nowhere else",
    "comes-to-rest": "events do not make each other for ever: a second holds a bounded number of steps",
    "never-raises": "no event makes a step of a core raise",
    "only-eligible": "a process starts on nodes that host its sworm and meet its constraints",
    "redistribution-ends": "active redistribution brings processes to where their strategy wants them, and stops",
    "counts-are-kept": "the processes counted for each node are those that it lists",
    "quorum-one-answers": "of a name under a quorum at most one process accepts messages at any moment, in epoch order",
    "operation-ends": "an operation ends, once, in a stated way, and every step of it with it",
    "operation-shows": "what an operation calls done was done: a process opened where, and after what, it should",
    "operation-keeps-pace": "an operation has no more steps under way, and begins none earlier, than it was told",
    "cancel-stops": "an operation that was cancelled begins nothing new",
    "moved-once": "whoever carries an operation out, however often, each step moves or restarts its process once",
    "one-accepts": "without faults at most one process of a name accepts messages at any moment",
}


class Violation(Exception):
    """An invariant broke; the message names it first."""


def broken(name: str, detail: str) -> Violation:
    """The error for an invariant that does not hold."""
    assert name in INVARIANTS
    return Violation(f"{name}: {INVARIANTS[name]}; but {detail}")
