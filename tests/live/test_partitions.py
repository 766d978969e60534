"""Real splits: agents in network namespaces whose cables are pulled and plugged in again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.core.spec import Definition
from supervisor.core.strategies import UNIFORM_QUORUM
from tests.live.lands import Lands, lands
from tests.supervisor.processes import until

pytestmark = pytest.mark.live

NAMES = [f"name{number}" for number in range(100)]


def test_a_split_with_the_same_names_on_both_sides_heals(
    tmp_path: Path, measured: Callable[[str, float], None]
) -> None:
    with lands(2, tmp_path, Definition("rooms", 1, handoff=True)) as two:
        two.register("n1", ["warm"])
        two.lands["n2"].pull()
        for at in ("n1", "n2"):
            until(lambda at=at: all(r["ok"] for r in two.register(at, NAMES)), f"all names run on {at}'s side")  # type: ignore[misc]
        before = {at: two.pids(at) for at in ("n1", "n2")}
        assert all(before["n1"][name] != before["n2"][name] for name in NAMES)
        two.lands["n2"].plug()
        plugged = time.monotonic()

        def met() -> bool:
            told = two.lands["n1"].ready(), two.lands["n2"].ready()
            return all(one.get("peers") and one["peers"][0]["state"] == "alive" for one in told)

        until(met, "both see each other")
        linked = time.monotonic()
        until(lambda: two.pids("n1") == two.pids("n2"), "one process for each name, the same for both")
        measured("a split of 100 names on both sides is settled, from the link", time.monotonic() - linked)
        measured("the same, from the cable", time.monotonic() - plugged)
        until(lambda: two.processes("n1") + two.processes("n2") == len(NAMES) + 1, "the losers are gone")
        kept = two.pids("n1")
        until(lambda: len({r["name"] for r in two.reports() if r["kind"] == "conflict"}) >= len(NAMES), "the events")
        conflicts = {report["name"]: report for report in two.reports() if report["kind"] == "conflict"}
        for name in NAMES:
            pair = {before["n1"][name], before["n2"][name]}
            assert kept[name] in pair
            (loser,) = pair - {kept[name]}
            detail = conflicts[name]["detail"]
            assert f"{kept[name]} (epoch " in detail
            assert f"outranks {loser} (epoch " in detail
            assert detail.endswith(("by epoch", "by majority", "by origin"))


def test_under_a_quorum_one_side_answers(tmp_path: Path, measured: Callable[[str, float], None]) -> None:
    definition = Definition("rooms", 1, distribution_strategy=UNIFORM_QUORUM)
    with lands(3, tmp_path, definition, SWORM_QUORUM_HOSTS="3") as three:
        results = three.register("n1", NAMES)
        assert all(result["ok"] for result in results), results[0]
        mine = {name for name, pid in three.pids("n1").items() if pid.startswith("n1.")}
        assert mine
        three.lands["n1"].pull()
        pulled = time.monotonic()
        until(lambda: three.processes("n2") + three.processes("n3") == len(NAMES), "the majority takes over")
        measured("a majority has taken over, from the cable", time.monotonic() - pulled)
        assert three.pids("n1").keys().isdisjoint(mine), "the minority has stopped before"
        refused = three.ask("n1", "register", name="more", target="examples.counters:Counter", args=[], kwargs={},
                            isolation=None, meta={}, claim="")  # fmt: skip
        assert (refused.ok, refused.problem) == (False, "no_quorum"), refused
        assert three.register("n2", ["more"])[0]["ok"]
        assert not three.ask("n1", "call", name=min(mine), message={"op": "get"}, timeout_ms=300).ok
        three.lands["n1"].plug()
        until(lambda: three.pids("n1") == three.pids("n2") == three.pids("n3"), "all agree")
        assert len(three.pids("n1")) == len(NAMES) + 1
        until(lambda: sum(three.processes(at) for at in three.lands) == len(NAMES) + 1, "each runs once")
        until(lambda: three.ask("n1", "register", name="again", target="examples.counters:Counter", args=[], kwargs={},
                                isolation=None, meta={}, claim="").ok, "n1 takes names again")  # fmt: skip


def test_a_single_cut_cable_is_bridged_by_whoever_has_both(
    tmp_path: Path, measured: Callable[[str, float], None]
) -> None:
    with lands(3, tmp_path, Definition("rooms", 1, handoff=True)) as three:
        assert all(result["ok"] for result in three.register("n1", NAMES))
        assert hosts(three, "n1") == {"n1", "n2", "n3"}
        three.cut("n1", "n3")
        cut = time.monotonic()
        across = (("n1", "n3"), ("n3", "n1"))
        until(lambda: all(three.relay(*pair) == ("alive", "n2") for pair in across), "n2 relays")
        measured("a relay is found, from the cut of a cable", time.monotonic() - cut)

        # claims, each decided by its arbiter, which is across the cut for a third of them
        began = time.monotonic()
        for at in ("n1", "n3"):
            assert all(result["ok"] for result in three.register(at, [f"{name} of {at}" for name in NAMES]))
        measured("200 names are registered around a cut", time.monotonic() - began)
        assert three.pids("n1") == three.pids("n3")

        # calls; those on the link that carries nothing any more end in an error, until it is given up
        until(lambda: all(one_call(three, *pair) for pair in across), "calls go by n2")
        measured("calls are answered around the cut, from the cut", time.monotonic() - cut)
        counts = dict.fromkeys(NAMES, 0)
        for at in ("n1", "n3", "n1"):
            call_all(three, at, counts)

        # a handoff from one end to the other
        name = next(name for name, pid in three.pids("n1").items() if pid.startswith("n1.") and name in counts)
        moved = three.ask("n3", "handoff", name=name, to="n3")
        assert moved.ok, moved
        until(lambda: three.pids("n1")[name].startswith("n3."), "it runs on n3, for n1 too")
        call_all(three, "n1", counts)

        # the direct link is back
        three.splice("n1", "n3")
        spliced = time.monotonic()
        until(lambda: all(three.relay(*pair) == ("alive", None) for pair in across), "the link is direct again")
        measured("the link is direct again, from the splice", time.monotonic() - spliced)
        call_all(three, "n1", counts)
        call_all(three, "n3", counts)

        # a drain around the cut: n3 has only n2's word for what n1 takes
        three.cut("n1", "n3")
        until(lambda: all(three.relay(*pair) == ("alive", "n2") for pair in across), "n2 relays again")
        until(lambda: all(one_call(three, *pair) for pair in across), "calls go by n2 again")
        leaver = three.lands["n3"].process
        assert leaver is not None
        leaver.terminate()
        assert leaver.wait(60) == 0, "n3 is empty and has left"
        until(lambda: hosts(three, "n1") == {"n1", "n2"}, "all of it runs on the others")
        assert len(three.pids("n1")) == 3 * len(NAMES)
        call_all(three, "n1", counts)
        told = [(report["kind"], report["node"]) for report in three.reports()]
        assert ("dead", "n1") not in told
        assert ("dead", "n3") not in told
        assert [told.count((kind, "n3")) for kind in ("relayed", "direct")] == [2, 1]
        assert not [kind for kind, _ in told if kind in ("rehomed", "lost", "conflict", "handoff_failed")]


def call_all(three: Lands, at: str, counts: dict[str, int]) -> None:
    """Raise every counter by one at one agent, which answers for all that were raised before."""
    for name in counts:
        answer = three.ask(at, "call", name=name, message={"op": "increment", "by": 1}, timeout_ms=5_000)
        assert answer.ok, (at, name, answer)
        counts[name] += 1
        assert answer.result == counts[name], (at, name)


def one_call(three: Lands, at: str, host: str) -> bool:
    """Whether one agent's call to a process at another is answered."""
    name = next(name for name, pid in three.pids(at).items() if pid.startswith(f"{host}."))
    return three.ask(at, "call", name=name, message={"op": "get"}, timeout_ms=1_000).ok


def hosts(three: Lands, at: str) -> set[str]:
    """The nodes that run something, as one agent knows."""
    return {pid.partition(".")[0] for pid in three.pids(at).values()}
