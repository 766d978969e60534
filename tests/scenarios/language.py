"""The words of scenario transcripts: each line of a text file drives a cluster, and what happened is written below it.

Law: a transcript is test and documentation at once. Epochs are shown as e1, e2 … in their order, so that a reader can
compare them; incarnations are numbered from 1. `Scenario.words` is all there is to know.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from registry.core.frozen import frozen
from registry.core.names import Spec
from tests.scenarios.cluster import ROOMS, Cluster

_FLAGS = {"true": True, "false": False}


class Scenario:
    """One transcript under way."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.epochs: dict[int, str] = {}
        self.words: dict[str, Callable[..., object]] = {
            "start": self.start,
            "define": self.define,
            "ask": self.ask,
            "register": lambda *words, **more: self.ask("register", *words, **more),
            "unregister": lambda *words, **more: self.ask("unregister", *words, **more),
            "restart": lambda *words, **more: self.ask("restart", *words, **more),
            "move": self.move,
            "name": self.name,
            "join": self.join,
            "leave": lambda *words, **more: self.join(*words, kind="leave", **more),
            "add": self.add,
            "crash": self.cluster.crash,
            "crash-worker": lambda name, process: self.cluster.end_worker(name, process, False, "ValueError: no"),
            "end-worker": lambda name, process: self.cluster.end_worker(name, process, True),
            "cut": self.cut,
            "cut-cable": self.cluster.cut_cable,
            "heal": self.cluster.heal,
            "hold": lambda *kinds: self.cluster.held.update(kinds),
            "release": lambda *kinds: self.cluster.held.difference_update(kinds or set(self.cluster.held)),
            "deliver": lambda count: self.cluster.deliver_kept(int(count)),
            "lose": self.cluster.lose_kept,
            "drop": lambda *kinds: self.cluster.dropped.update(kinds),
            "pass": lambda *kinds: self.cluster.dropped.difference_update(kinds or set(self.cluster.dropped)),
            "drain": lambda name, wait="30", stay="": self.cluster.drain(name, float(wait), not stay),
            "cancel-drain": self.cluster.cancel_drain,
            "cordon": self.cluster.cordon,
            "uncordon": lambda name: self.cluster.cordon(name, False),
            "pause": self.cluster.pause,
            "resume": self.cluster.resume,
            "skew": self.skew,
            "tick": lambda seconds: self.cluster.pass_time(float(seconds.removesuffix("s"))),
            "show": self.show,
            "check": lambda: [f"{self.cluster.check_once()} registered, each runs once, all nodes agree"],
        }

    def run(self, line: str) -> list[str]:
        """Carry out one command; returns what is to stand below it."""
        verb, *words = line.split()
        plain = [word for word in words if "=" not in word]
        more = dict(word.split("=", 1) for word in words if "=" in word)
        extra = self.words[verb](*plain, **more)
        self.cluster.settle()
        log, self.cluster.log = self.cluster.log, []
        lines = [*log, *(extra if isinstance(extra, list) else [])]
        return [self._plain(text) for text in lines] or ["ok"]

    # ----------------------------------------------------------------------------------------------------- commands

    def start(self, *names: str, capacity: str = "1", sworms: str = "*", **labels: str) -> None:
        """`start n1 n2 zone=a capacity=2 sworms=rooms`: nodes of these names start, and find each other."""
        self.cluster.start(
            *names,
            config=lambda config: replace(
                config, labels=labels, capacity=float(capacity), sworms=tuple(sworms.split(","))
            ),
        )

    def define(self, name: str, constraints: str = "", strategy: str = "", **fields: str) -> None:
        """`define n1 handoff=true strategy=least_loaded constraints=zone:a`: the next revision of the rooms."""
        values = {key: _value(text) for key, text in fields.items()}
        if constraints:
            values["constraints"] = _constraints(constraints)
        if strategy:
            values["distribution_strategy"] = strategy
        self.cluster.define(name, **values)

    def ask(self, kind: str, name: str, process: str, **more: str) -> None:
        """`register n1 lobby claim=c1 target=bad:Worker wait=2`: somebody on n1 asks."""
        fields: dict[str, object] = {key: _value(text) for key, text in more.items()}
        if "target" in fields:
            fields["spec"] = Spec(str(fields.pop("target")))
        self.cluster.ask(name, kind, process, **fields)  # type: ignore[arg-type]

    def move(self, name: str, process: str, to: str = "", **more: str) -> None:
        """`move n1 lobby n3`: somebody on n1 wants the lobby on n3."""
        self.ask("move", name, process, to=to, **more)

    def name(self, name: str, further: str, process: str) -> None:
        """`name n1 foyer lobby`: the process of the lobby shall be found as foyer too."""
        best = self.cluster.nodes[name].node.lookup(ROOMS, process)
        self.cluster.ask(name, "register", further, spec=None, pid=best.pid if best else "n0.1.1")

    def join(self, name: str, process: str, group: str, kind: str = "join") -> None:
        """`join n1 lobby public`: the lobby shall be a member of the group public; `leave` the other way."""
        self.cluster.ask(name, kind, process, group=group)

    def add(self, process: str, by: str) -> list[str]:
        """`add lobby 5`: a message that raises the worker's number, sent as the first live node knows it."""
        return [self.cluster.send_to(process, int(by))]

    def cut(self, *words: str) -> None:
        """`cut n1 / n2 n3`: the sides lose each other; links close."""
        self.cluster.cut(*(side.split() for side in " ".join(words).split("/")))

    def skew(self, name: str, seconds: str) -> None:
        """`skew n2 -3`: the clock of n2 is off by so much; at its next start if it does not run."""
        self.cluster.skew(name, float(seconds))

    def show(self) -> list[str]:
        """What each node looks up, what runs where, and whom each node holds for what."""
        lines: list[str] = []
        for name, running in sorted(self.cluster.nodes.items()):
            others = [
                f"{m.origin} {m.state}{m.relay and f' by {m.relay}'}"
                for m in running.node.members()
                if m.origin != running.node.origin
            ]
            status = running.node.member.record.status
            ready = "" if running.node.member.ready else ", not ready"
            lines.append(f"{name} {running.node.origin} {status}{ready}; sees {', '.join(others) or 'nobody'}")
            lines += [f"  {line}" for line in self._of_node(name)]
        return lines

    def _of_node(self, name: str) -> list[str]:
        cluster = self.cluster
        lines = []
        replica = cluster.nodes[name].node.replicas.get(ROOMS)
        for process, best in sorted(replica.index.items()) if replica else ():
            doubt = " contested" if replica and process in replica.contested else ""
            of = f" of {best.entry.of}" if best.entry.of else ""
            lines.append(f"{process}{of}: {best.pid} epoch {best.entry.epoch} {best.entry.state}{doubt}")
        for group in sorted(replica.groups) if replica else ():
            members = [member for member, _ in replica.members(group)] if replica else []
            lines += [f"group {group}: {', '.join(members)}"] if members else []
        for worker in cluster.nodes[name].workers.values():
            if worker.running:
                start = worker.start
                parked = f", {len(worker.gate.parked)} parked" if worker.gate.parked else ""
                lines.append(f"runs {start.name} {start.pid}, gate {worker.gate.state}, number {worker.value}{parked}")
        return lines

    # -------------------------------------------------------------------------------------------------------- words

    def _plain(self, text: str) -> str:
        return re.sub(r"\b1[67]\d{14}\b", lambda m: self._epoch(int(m[0])), text)

    def _epoch(self, epoch: int) -> str:
        return self.epochs.setdefault(epoch, f"e{len(self.epochs) + 1}")


def _constraints(text: str) -> object:
    """`zone:a,disk:!slow`: what the label is, or is not; `none` ends them."""
    pairs = [pair.split(":", 1) for pair in text.split(",")] if text != "none" else []
    wanted: dict[str, Any] = {
        label: {"not": value[1:]} if value.startswith("!") else value.split("|") for label, value in pairs
    }
    return frozen(wanted)


def _value(text: str) -> object:
    if text in _FLAGS:
        return _FLAGS[text]
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def rewritten(text: str) -> str:
    """A transcript run again: comments and commands as they are, outcomes as they come now."""
    scenario = Scenario()
    out: list[str] = []
    for line in text.splitlines():
        if line.startswith("  "):
            continue
        out.append(line)
        if line and not line.startswith("#"):
            out += [f"  {outcome}" for outcome in scenario.run(line)]
    return "\n".join(out) + "\n"
