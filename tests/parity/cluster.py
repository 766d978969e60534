"""A cluster of agents as operating-system processes, each with a scribe that carries out verbs on its node.

Law: what a test wants is done by a worker's code in an agent, through the public verbs, or by a signal; what it sees
comes from there, or from the agents' own pages. Conditions are polled with a generous limit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from supervisor.client import Answer
from tests.parity.workers import SWORMS
from tests.supervisor import processes
from tests.supervisor.processes import free_port, until

WORKERS = "tests.parity.workers"
KEEPER = f"{WORKERS}:Keeper"

#: Names tried for a scribe until one belongs on the node meant: each lands on one of the nodes by its hash.
TRIES = 500


class Told(Exception):
    """A verb raised; `error` is the name of what it raised."""

    def __init__(self, error: str, detail: str, pid: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.error, self.detail, self.pid = error, detail, pid


def wish(verb: str, *args: Any, sworm: str = "rooms", sync: bool = False, **kwargs: Any) -> dict[str, Any]:
    """A verb as a scribe takes it."""
    return {"verb": verb, "sworm": sworm, "args": list(args), "kwargs": kwargs, "sync": sync}


class Cluster(processes.Cluster):
    """Agents n1, n2 …, and what is done on each."""

    program = "tests/parity/cuttable.py"

    def __init__(self, redis_url: str, folder: Path, count: int) -> None:
        super().__init__(redis_url, folder, tuple(f"n{number}" for number in range(1, count + 1)))
        self._scribes: dict[str, tuple[int, str]] = {}

    # ----------------------------------------------------------------------------------------------------------- verbs

    def do(self, node: str, verb: str, *args: Any, sworm: str = "rooms", sync: bool = False, **kwargs: Any) -> Any:
        """Have a verb carried out on a node; returns its result. Raises `Told`."""
        (outcome,) = self.do_all(node, [wish(verb, *args, sworm=sworm, sync=sync, **kwargs)])
        return result_of(outcome)

    def do_all(self, node: str, wishes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Have many carried out at once on a node; their outcomes, in order."""
        outcomes: list[dict[str, Any]] = self.say(node, {"together": list(wishes)})["result"]
        return outcomes

    def say(self, node: str, message: Any) -> Any:
        """Tell the scribe of a node something; returns its reply."""
        answer = self._command(node, "call", "scribes", name=self._scribe(node), message=message, timeout_ms=60_000)
        assert answer.ok, answer
        return answer.result

    def _scribe(self, node: str) -> str:
        incarnation = self.agents[node].ready()["incarnation"]
        known = self._scribes.get(node)
        if known is None or known[0] != incarnation:
            known = self._scribes[node] = incarnation, self._new_scribe(node, incarnation)
        return known[1]

    def _new_scribe(self, node: str, incarnation: int) -> str:
        for number in range(TRIES):
            name = f"{node}-{incarnation}-{number}"
            answer = self._command(node, "register", "scribes", name=name, target=f"{WORKERS}:Scribe")
            assert answer.ok, answer
            if answer.result["node"] == node:
                return name
        raise AssertionError(f"no name of {TRIES} belongs on {node}")

    def _command(self, node: str, op: str, sworm: str, **fields: Any) -> Answer:
        return self.ask(op, at=node, sworm=sworm, definition=SWORMS[sworm].definition(), **fields)

    # ----------------------------------------------------------------------------------------------------- what is seen

    def item(self, node: str, name: str, sworm: str = "rooms") -> dict[str, Any]:
        """A process as a node shows it; empty when it knows none."""
        answer = self._command(node, "get", sworm, name=name)
        return dict(answer.result) if answer.ok else {}

    def item_once(self, node: str, name: str, state: str, sworm: str = "rooms") -> dict[str, Any]:
        """The same, once it is in this state."""

        def seen() -> dict[str, Any]:
            item = self.item(node, name, sworm)
            return item if item.get("state") == state else {}

        return dict(until(seen, f"{name} is {state} as {node} sees it"))

    def registered(self, node: str, sworm: str = "rooms") -> dict[str, str]:
        """What `registered()` says on a node."""
        return dict(self.do(node, "registered", sworm=sworm))

    def everywhere(self, what: str, met: Callable[[str], Any], nodes: Iterable[str] = ()) -> None:
        """Wait until something is so on every node."""
        for node in nodes or self.agents:
            until(lambda node=node: met(node), f"{what} on {node}")  # type: ignore[misc]

    def known(self, *names: str, sworm: str = "rooms") -> None:
        """Wait until every node knows these names: of others' registrations a node hears a moment later."""
        self.everywhere(f"{names} are known", lambda node: self.registered(node, sworm).keys() >= set(names))

    def gone(self, *names: str, sworm: str = "rooms") -> None:
        """Wait until no node knows these names."""
        self.everywhere(f"{names} are gone", lambda node: not self.registered(node, sworm).keys() & set(names))

    def processes_of(self, node: str) -> int:
        """How many processes a node's supervisor has."""
        return int(self.agents[node].ready()["processes"])

    def log(self, node: str) -> str:
        """What an agent has said so far."""
        return self.agents[node].log.read_text()

    # ------------------------------------------------------------------------------------------------------- the nodes

    def join(self, name: str) -> None:
        """Start a further node."""
        self.ports[name] = free_port()
        self.agents[name] = self.launch(name)

    def peers(self, node: str) -> set[str]:
        """The nodes that a node takes for living, itself included; also those that it only suspects."""
        told = self.agents[node].ready()
        return {member["name"] for member in told.get("members", []) if member["state"] in ("alive", "suspect")}

    def cut(self, *sides: Iterable[str]) -> None:
        """Cut the network: whoever is on one side reaches nobody on another."""
        parts = [set(side) for side in sides]
        barred = {
            name: {other: self.ports[other] for part in parts if name not in part for other in part}
            for part in parts for name in part
        }  # fmt: skip
        self._write_cut(barred)
        for part in parts:
            for node in part:
                until(lambda node=node, part=part: self.peers(node) == part, f"{node} sees only {part}")  # type: ignore[misc]

    def mend(self) -> None:
        """Mend the network. Whoever sees whom is for the test to wait for."""
        self._write_cut({})

    def _write_cut(self, barred: dict[str, dict[str, int]]) -> None:
        fresh = self.folder / "cut.new"
        fresh.write_text(json.dumps(barred))
        fresh.rename(self.folder / "cut.json")


def result_of(outcome: dict[str, Any]) -> Any:
    """The result of a verb. Raises `Told`."""
    if "error" in outcome:
        raise Told(outcome["error"], outcome["detail"], outcome["pid"])
    return outcome["result"]
