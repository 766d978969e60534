"""The writer, turn by turn, over real members and a real PostgreSQL."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError

from registry.models import Event, Node, ObservedVersion, ObserverTerm, Process, Removal, ReplicaSnapshot, Sworm
from registry.projection import Batch
from registry.readmodel import ReadModel, Vector, Work, Written
from registry.watch import Watch
from registry.writing import NotRecorded, Owner, Writer
from tests.registry.cluster import Cluster
from tests.registry.rows import entry

pytestmark = pytest.mark.django_db(transaction=True)

N1, N2 = "n1.1", "n2.1"


class Told:
    """Remembers what was told after commits."""

    def __init__(self) -> None:
        self.commits: list[tuple[Written, Batch, Vector]] = []
        self.beats: list[int] = []

    def committed(self, written: Written, rows: Batch, versions: Vector, at: float) -> None:
        self.commits.append((written, rows, versions))

    def beat(self, revision: int) -> None:
        self.beats.append(revision)


class Flaky(ReadModel):
    """A read model whose database can be away."""

    away = False

    def read_term(self) -> Any:
        if self.away:
            raise OperationalError("away\nat line 1")
        return super().read_term()

    def write(self, work: Work) -> Written:
        if self.away:
            raise OperationalError("away")
        return super().write(work)


class Scene:
    """A cluster, and a writer on its observer."""

    def __init__(self, holder: str = "observer.1") -> None:
        self.cluster = Cluster(N1, N2, observer=holder)
        self.told = Told()
        self.model = Flaky(holder)
        self.signals: list[str] = []
        note = self.signals.append
        owner = Owner(lambda: note("began"), lambda: note("lost"), lambda: note("published"))
        self.watch = Watch(self.cluster.seen, threading.RLock())
        self.writer = Writer(self.watch, self.model, self.told, owner)

    def linked(self) -> Scene:
        self.cluster.link(*self.cluster.members)
        return self

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.writer.turn()


def names() -> list[tuple[str, str, str]]:
    return list(Process.objects.order_by("name").values_list("name", "pid", "state"))


def test_what_members_write_becomes_rows_and_goes_with_them() -> None:
    scene = Scene().linked()
    version = scene.cluster.write(N1, "s", {"a": entry(1), "b": entry(2, state="starting")})
    scene.turn()
    assert names() == [("a", "n1.1.1", "running"), ("b", "n1.1.2", "starting")]
    assert ObservedVersion.objects.get(sworm="s", origin=N1).version == version
    scene.cluster.write(N1, "s", {"a": None, "b": entry(2)})
    scene.turn()
    assert names() == [("b", "n1.1.2", "running")]
    assert Removal.objects.get().name == "a"
    assert dict(Node.objects.values_list("name", "processes")) == {"n1": 1, "n2": 0}


def test_versions_are_told_with_the_commit_that_has_them() -> None:
    scene = Scene().linked()
    scene.turn()
    version = scene.cluster.write(N2, "s", {"a": entry()})
    scene.turn()
    written, rows, versions = scene.told.commits[-1]
    assert versions == {"s": {N2: version}}
    assert [row.name for row in rows.upserts] == ["a"]
    assert Process.objects.get().revision == written.rows


def test_more_is_expected_only_while_a_process_starts_and_nothing_is_lost_by_looking() -> None:
    scene = Scene().linked()
    scene.turn()
    assert not scene.watch.expects_more()
    scene.cluster.write(N1, "s", {"a": entry(1, state="starting"), "b": entry(2)})
    assert scene.watch.expects_more()
    scene.cluster.write(N1, "s", {"a": entry(1)})
    assert not scene.watch.expects_more()
    scene.cluster.write(N1, "s", {"b": None})
    scene.cluster.write(N1, "elsewhere", {"c": entry(3)})
    assert not scene.watch.expects_more()
    assert scene.watch.take().names == {"s": {"a", "b"}, "elsewhere": {"c"}}
    assert scene.watch.take().names == {}


def test_heartbeats_alone_write_nothing() -> None:
    scene = Scene().linked()
    scene.cluster.write(N1, "s", {"a": entry()})
    scene.turn()
    commits = len(scene.told.commits)
    scene.cluster.after(1.0)
    scene.turn(2)
    assert len(scene.told.commits) == commits


def test_a_dead_node_is_shown_dead_and_its_names_come_back_elsewhere() -> None:
    scene = Scene().linked()
    scene.cluster.write(N1, "s", {"a": entry(1)})
    scene.turn()
    scene.cluster.crash(N1)
    scene.cluster.after(1.0)
    scene.turn()
    assert Node.objects.get(name="n1").status == "dead"
    assert names() == []
    scene.cluster.write(N2, "s", {"a": entry(1, epoch=2)})
    scene.turn()
    assert names() == [("a", "n2.1.1", "running")]


def test_nothing_is_removed_before_the_member_is_synced() -> None:
    first = Scene().linked()
    first.cluster.write(N1, "s", {"a": entry(1)})
    first.turn()
    first.model.release_term()
    scene = Scene("observer.2")
    scene.turn(3)
    assert names() == [("a", "n1.1.1", "running")]
    scene.linked().cluster.write(N1, "s", {"b": entry(2)})
    scene.turn()
    assert names() == [("b", "n1.1.2", "running")]


def test_rows_of_an_earlier_observer_are_not_written_again() -> None:
    first = Scene().linked()
    first.cluster.write(N1, "s", {"a": entry(1), "b": entry(2)})
    first.turn()
    first.model.release_term()
    scene = Scene("observer.2").linked()
    scene.cluster.write(N1, "s", {"a": entry(1), "b": entry(2, restarts=1)})
    scene.turn()
    assert [row.name for row in scene.told.commits[0][1].upserts] == ["b"]


def test_an_outage_of_the_database_loses_nothing() -> None:
    scene = Scene().linked()
    scene.cluster.write(N1, "s", {"a": entry(1), "b": entry(2)})
    scene.turn()
    scene.model.away = True
    scene.cluster.write(N1, "s", {"a": None, "c": entry(3)})
    scene.turn(2)
    scene.cluster.write(N2, "s", {"d": entry(4)})
    scene.model.away = False
    scene.turn()
    assert [name for name, *_ in names()] == ["b", "c", "d"]
    assert Removal.objects.get().name == "a"
    assert ObservedVersion.objects.filter(sworm="s").count() == 2


def test_a_standby_says_once_that_the_database_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.model.away = True
    scene.turn(3)  # each comes before the next look is due
    assert [record.levelname for record in caplog.records if "not there" in record.message] == ["WARNING"]
    assert caplog.records[-1].message.endswith("in memory: away")
    scene.model.away = False
    scene.turn()
    assert scene.signals == ["began"]


def test_a_standby_writes_nothing_and_takes_over_a_released_term_at_once() -> None:
    first = Scene().linked()
    first.turn()
    assert first.signals[0] == "began"
    standby = Scene("other.1").linked()
    standby.cluster.write(N1, "s", {"a": entry()})
    standby.turn(2)
    assert names() == []
    assert "began" not in standby.signals
    first.model.release_term()
    standby.writer._standby[0].at = 0.0
    standby.turn()
    assert names() == [("a", "n1.1.1", "running")]
    assert standby.signals.count("began") == 1


def test_a_writer_whose_term_was_taken_writes_no_more_and_says_so() -> None:
    scene = Scene().linked()
    scene.turn()
    ObserverTerm.objects.update(term=9, holder="other.1")
    scene.cluster.write(N1, "s", {"a": entry()})
    assert not scene.writer.turn()
    assert scene.signals[-1] == "lost"
    assert names() == []


def test_definitions_reach_the_agents_and_only_news_are_published() -> None:
    scene = Scene().linked()
    Sworm.objects.create(name="rooms", revision=3, allowed_modules=["chat"])
    scene.turn()
    assert scene.signals.count("published") == 1
    scene.cluster.after(0.1)
    wire = scene.cluster.members[N1].directory["observer.1"].entries[("definition", "rooms")]
    assert wire[:2] == ("rooms", 3)
    scene.writer.look_at_definitions()
    scene.turn()
    assert scene.signals.count("published") == 1


def test_each_node_is_shown_with_the_definitions_that_it_holds() -> None:
    scene = Scene().linked()
    Sworm.objects.create(name="rooms", revision=3)
    Sworm.objects.create(name="gone", revision=2, deleted=True)
    scene.turn()
    scene.cluster.after(0.1)
    scene.writer._renew()
    assert dict(Node.objects.values_list("name", "definitions")) == {"n1": {"rooms": 3}, "n2": {"rooms": 3}}


def test_a_node_that_an_operator_forgets_is_told_to_those_who_watch_once() -> None:
    scene = Scene().linked()
    scene.turn()
    scene.cluster.crash(N1)
    scene.cluster.after(1.0)
    scene.turn()
    scene.writer._renew()
    Node.objects.filter(name="n1").update(forgotten=True)
    scene.writer._renew()
    scene.writer._renew()
    told = [(written.rows, rows.forgotten) for written, rows, _ in scene.told.commits if rows.forgotten]
    assert told == [(Node.objects.get(name="n1").revision, ["n1"])]


def in_background(work: Any) -> tuple[threading.Thread, list[BaseException | None]]:
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
            outcome.append(None)
        except NotRecorded as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def finish(scene: Scene, thread: threading.Thread) -> None:
    while thread.is_alive():
        scene.turn()
        thread.join(0.01)


def test_reports_are_events_once_they_are_recorded() -> None:
    scene = Scene().linked()
    scene.turn()
    report = {"kind": "crashed", "at": 5.0, "sworm": "s", "name": "a", "detail": "boom\x00"}
    stats = {"kind": "stats", "at": 5.0, "detail": {"stats": {"load": 0.5}}}
    batch = {"v": 1, "node": "n1", "incarnation": 1, "reports": [report, stats, "nonsense"]}
    thread, outcome = in_background(lambda: scene.writer.record(batch))
    finish(scene, thread)
    assert outcome == [None]
    event = Event.objects.get(kind="crashed")
    assert (event.node, event.name, event.detail) == ("n1", "a", "boom\ufffd")
    assert Node.objects.get(name="n1").stats == {"load": 0.5}


def test_reports_that_cannot_be_written_are_given_back() -> None:
    scene = Scene().linked()
    scene.turn()
    scene.model.away = True
    report = {"kind": "crashed", "at": 5.0}
    thread, outcome = in_background(lambda: scene.writer.record({"node": "n1", "reports": [report]}))
    finish(scene, thread)
    assert isinstance(outcome[0], NotRecorded)
    scene.model.away = False
    scene.turn()
    assert not Event.objects.filter(kind="crashed").exists()


def test_replicas_are_recorded_for_each_node_and_sworm() -> None:
    scene = Scene().linked()
    scene.turn()
    version = scene.cluster.write(N1, "s", {"a": entry()})
    scene.cluster.after(10.0)
    scene.turn()
    scene.writer._write_snapshots()
    rows = {row.node: row for row in ReplicaSnapshot.objects.filter(sworm="s").order_by("id")}
    assert set(rows) == {"n1", "n2", "observer"}
    assert {row.versions[N1] for row in rows.values()} == {version}
    assert {row.behind for row in rows.values()} == {0}
    assert len({row.digest for row in rows.values()}) == 1
    assert rows["n1"].size == 1


def test_the_thread_ends_when_told_and_releases_its_term() -> None:
    scene = Scene().linked()
    scene.cluster.write(N1, "s", {"a": entry()})
    thread = threading.Thread(target=scene.writer.run)
    thread.start()
    scene.writer.wake()
    thread.join(0.2)
    scene.writer.stop()
    thread.join()
    assert ObserverTerm.objects.get().holder == ""


def test_a_defect_in_the_writer_ends_its_owner(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene().linked()
    scene.told.committed = lambda *_: 1 / 0  # type: ignore[assignment,return-value]
    scene.writer.run()
    assert scene.signals[-1] == "lost"
    assert "the writer failed" in caplog.text
