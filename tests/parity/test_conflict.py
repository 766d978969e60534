"""Two sides of a cut network register one name; when it heals there is one process, and both sides say so."""

from __future__ import annotations

import pytest

from registry.core.ids import node_of
from tests.parity.cluster import KEEPER, WORKERS, Told
from tests.parity.conftest import Start
from tests.parity.test_moving import running, scribes
from tests.supervisor.processes import until

pytestmark = pytest.mark.live

KINDS = {
    f"{target}-{isolation}": (f"{WORKERS}:{target}", isolation)
    for target in ("Keeper", "keeper")
    for isolation in ("task", "process")
}


def test_after_a_heal_a_name_is_one_process_on_both_sides_and_its_loser_is_gone(start: Start) -> None:
    cluster = start(2)
    alone = cluster.do("n1", "register_name", "alone", KEEPER, ["n1"])
    for node in ("n1", "n2"):
        cluster.do(node, "registered")
    cluster.cut({"n1"}, {"n2"})
    pids: dict[str, dict[str, str]] = {}
    for node in ("n1", "n2"):
        for name, (target, isolation) in KINDS.items():
            pid = cluster.do(node, "register_name", name, target, [node], isolation=isolation)
            pids.setdefault(name, {})[node] = pid
            assert node_of(pid) == node
            with pytest.raises(Told) as raised:
                cluster.do(node, "register_name", name, target, [node])
            assert raised.value.pid == pid
        cluster.do(node, "join", "both", name="Keeper-task")
        cluster.do(node, "register_name", "further", pid=pids["Keeper-task"][node])
    cluster.mend()
    cluster.together()

    def agreed() -> bool:
        one, other = cluster.registered("n1"), cluster.registered("n2")
        return one == other and set(one) == {*KINDS, "further", "alone"}

    until(agreed, "both sides say the same")
    registered = cluster.registered("n1")
    for name, contenders in pids.items():
        # Which one wins is for their ranks to say. What the loser kept was offered to it.
        assert registered[name] in contenders.values()
        until(
            lambda name=name: sorted(cluster.do("n1", "call", name, "kept")) == ["n1", "n2"],
            "both sides' state is kept",
        )  # type: ignore[misc]
    assert registered["further"] == registered["Keeper-task"]
    cluster.everywhere("one member", lambda node: cluster.do(node, "members", "both") == [registered["Keeper-task"]])
    until(lambda: running(cluster) == len(KINDS) + 1 + scribes(cluster), "no loser is left in a supervisor")
    assert node_of(registered["alone"]) in ("n1", "n2")
    assert alone
    for name in ("Keeper-task", "Keeper-process"):
        (loser,) = {"n1", "n2"} - {node_of(registered[name])}
        assert f"{name} terminates: conflict" in cluster.log(loser)
