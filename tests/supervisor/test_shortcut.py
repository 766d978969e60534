"""The registry's messages over the call lane: only while the peer's workers' loop answers."""

from __future__ import annotations

import threading
from typing import Any

from registry.core.messages import Ack
from supervisor.linger import Linger
from supervisor.shortcut import AGAIN, PATIENCE, Shortcut

PEER = "n2.1"
MESSAGE = Ack({"rooms": {"n1.1": 1}})


class Loop:
    now = 50.0

    def call_soon(self, function: Any) -> None:
        raise AssertionError("a few messages keep no loop awake")

    def time(self) -> float:
        return self.now


class Mesh:
    """Remembers what was asked of it; a link stands unless `linked` is taken away."""

    linked = True

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.dials: list[tuple[str, str]] = []
        self.flushes = 0

    def send(self, origin: str, message: Any) -> bool:
        if self.linked:
            self.sent.append(message)
        return self.linked

    def connect(self, url: str, origin: str) -> None:
        self.dials.append((url, origin))

    def flush(self) -> None:
        self.flushes += 1


class Directory:
    url = "ws://n2/calls"

    def call_url(self, origin: str) -> str:
        return self.url


def made() -> tuple[Shortcut, Loop, Mesh, list[Any]]:
    loop, mesh = Loop(), Mesh()
    got: list[Any] = []
    linger = Linger(loop, loop.time)  # type: ignore[arg-type]
    shortcut = Shortcut(loop, mesh, Directory(), lambda *came: got.append(came), linger)  # type: ignore[arg-type]
    return shortcut, loop, mesh, got


def test_it_sends_where_a_link_stands_and_says_whose_thread_it_is() -> None:
    shortcut, _, mesh, _ = made()
    assert shortcut.send(PEER, MESSAGE)
    shortcut.flush()
    assert (mesh.sent, mesh.flushes, shortcut.thread) == ([MESSAGE], 1, threading.get_ident())


def test_a_peer_that_answers_nothing_is_left_to_the_mesh_until_it_is_heard() -> None:
    shortcut, loop, mesh, got = made()
    assert shortcut.send(PEER, MESSAGE)
    loop.now += PATIENCE / 2
    assert shortcut.send(PEER, MESSAGE)
    loop.now += PATIENCE
    assert not shortcut.send(PEER, MESSAGE)
    shortcut.received(PEER, MESSAGE)
    assert got == [(PEER, MESSAGE)]
    assert shortcut.send(PEER, MESSAGE)
    assert len(mesh.sent) == 3


def test_pushes_go_this_way_too_but_are_no_question_that_a_peer_could_leave_unanswered() -> None:
    shortcut, loop, _, _ = made()
    assert shortcut.push(PEER, MESSAGE)
    loop.now += 10 * PATIENCE
    assert shortcut.push(PEER, MESSAGE)
    assert shortcut.send(PEER, MESSAGE)
    loop.now += 2 * PATIENCE
    assert not shortcut.push(PEER, MESSAGE)


def test_a_silent_peer_is_tried_again_now_and_then() -> None:
    shortcut, loop, _, _ = made()
    assert shortcut.send(PEER, MESSAGE)
    loop.now += AGAIN
    assert shortcut.send(PEER, MESSAGE)
    loop.now += 2 * PATIENCE
    assert not shortcut.send(PEER, MESSAGE)


def test_without_a_link_the_peer_is_dialled_once_a_second_and_the_mesh_takes_the_message() -> None:
    shortcut, loop, mesh, _ = made()
    mesh.linked = False
    assert not shortcut.send(PEER, MESSAGE)
    assert not shortcut.send(PEER, MESSAGE)
    assert mesh.dials == [("ws://n2/calls", PEER)]
    loop.now += AGAIN
    assert not shortcut.send(PEER, MESSAGE)
    assert len(mesh.dials) == 2


def test_nobody_is_dialled_whose_place_is_unknown() -> None:
    shortcut, _, mesh, _ = made()
    mesh.linked, shortcut._directory.url = False, ""  # type: ignore[attr-defined]
    assert not shortcut.send(PEER, MESSAGE)
    assert mesh.dials == []


def test_nothing_is_remembered_of_peers_that_are_gone() -> None:
    shortcut, loop, mesh, _ = made()
    for number in range(100):
        mesh.linked = True
        shortcut.send(f"n2.{number}", MESSAGE)
        mesh.linked = False
        shortcut.send(f"n3.{number}", MESSAGE)
        loop.now += AGAIN
    assert len(mesh.dials) == 100
    assert len(shortcut._dialled) + len(shortcut._unanswered) <= 4
