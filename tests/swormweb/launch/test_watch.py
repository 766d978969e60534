"""Watching: what the parts write is shown with their names, and whoever ends is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

from swormweb.launch.cluster import Cluster
from swormweb.launch.folder import Folder
from swormweb.launch.watch import Tail, Watch, background, foreground


def test_only_new_whole_lines_are_shown_with_their_part(tmp_path: Path) -> None:
    shown: list[str] = []
    log = tmp_path / "n1.log"
    log.write_text("long ago\n")
    tail = Tail(tmp_path, shown.append)
    with log.open("a") as file:
        file.write("one\ntw")
    tail.follow()
    with log.open("a") as file:
        file.write("o\n")
    (tmp_path / "web.log").write_text("hello\n")
    tail.follow()
    assert shown == ["n1       | one", "n1       | two", "web      | hello"]


def test_a_log_that_began_anew_is_shown_from_its_start(tmp_path: Path) -> None:
    shown: list[str] = []
    log = tmp_path / "n1.log"
    log.write_text("a long line of earlier days\n")
    tail = Tail(tmp_path, shown.append)
    log.write_text("new\n")
    tail.follow()
    assert shown == ["n1       | new"]


def test_whoever_ends_is_named_and_not_started_again(tmp_path: Path) -> None:
    folder = Folder.claim(tmp_path)
    cluster = Cluster(folder)
    children = {name: subprocess.Popen(["sleep", "600"]) for name in ("n1", "n2")}
    for name, child in children.items():
        cluster.record(name, child.pid)
    said: list[str] = []
    watch = Watch(folder, children, said.append)
    watch.look()
    children["n1"].kill()
    children["n1"].wait()
    watch.look()
    assert said == [f"n1 has ended; `./sworm up --data {tmp_path}` starts it again"]
    assert watch.has_parts
    cluster.state["stopping"] = True
    cluster.save()
    children["n2"].kill()
    background(watch)
    assert said[1:] == ["n2 was stopped"]
    assert not watch.has_parts
    assert set(cluster.recorded()) == {"n1", "n2"}


def test_whoever_was_told_to_end_is_not_called_for(tmp_path: Path) -> None:
    folder = Folder.claim(tmp_path)
    child = subprocess.Popen(["sh", "-c", "read line; exit 0"], stdin=subprocess.PIPE)
    Cluster(folder).record("n1", child.pid)
    said: list[str] = []
    watch = Watch(folder, {"n1": child}, said.append)
    watch.look()
    child.communicate(b"drain\n")
    background(watch)
    watch.look()
    assert said == ["n1 has ended as it was told to"]


def test_a_part_of_another_launcher_is_watched_too_and_spoken_of_once(tmp_path: Path) -> None:
    folder = Folder.claim(tmp_path)
    said: list[str] = []
    watch = Watch(folder, {}, said.append)
    watch.look()
    child = subprocess.Popen(["sleep", "600"])
    Cluster(folder).record("n4", child.pid)
    other = Watch(folder, {"n4": child}, said.append)
    for one in (watch, other):
        one.look()
        assert one.has_parts
    child.kill()
    child.wait()
    for one in (watch, other):
        foreground(one, Tail(folder.logs, said.append))
        assert not one.has_parts
    assert said == [f"n4 has ended; `./sworm up --data {tmp_path}` starts it again"]
