"""Order, batching and re-entrance of the way to a loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from supervisor.mailbox import TURN, Mailbox


class CountingLoop:
    """An event loop as a mailbox sees it; callbacks run when the test says so."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.wakeups = 0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        self.wakeups += 1
        self.callbacks.append(callback)

    def turn(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


def elsewhere(function: Callable[[], Any]) -> None:
    """Run something in another thread and wait for it."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def put_all(mailbox: Mailbox[Any], items: Iterable[Any]) -> None:
    for item in items:
        mailbox.put(item)


def made(handle: Callable[[Any], None]) -> tuple[Mailbox[Any], CountingLoop]:
    loop = CountingLoop()
    mailbox: Mailbox[Any] = Mailbox(loop, handle)  # type: ignore[arg-type]
    return mailbox, loop


def test_a_batch_from_another_thread_costs_one_wake_up_and_keeps_its_order() -> None:
    got: list[int] = []
    mailbox, loop = made(got.append)
    elsewhere(lambda: put_all(mailbox, range(100)))
    assert (loop.wakeups, got) == (1, [])
    loop.turn()
    assert got == list(range(100))


def test_draining_on_the_loop_s_thread_takes_what_others_put_first() -> None:
    got: list[str] = []
    mailbox, loop = made(got.append)
    elsewhere(lambda: mailbox.put("theirs"))
    mailbox.put("ours")
    mailbox.drain()
    assert got == ["theirs", "ours"]
    loop.turn()
    assert got == ["theirs", "ours"]


def test_draining_elsewhere_does_nothing() -> None:
    got: list[int] = []
    mailbox, _ = made(got.append)
    mailbox.put(1)
    elsewhere(mailbox.drain)
    assert got == []


def test_what_is_put_while_handling_comes_after() -> None:
    got: list[str] = []

    def handle(item: str) -> None:
        got.append(f"{item} begins")
        if item == "first":
            mailbox.put("second")
            mailbox.drain()
        got.append(f"{item} ends")

    mailbox, _ = made(handle)
    mailbox.put("first")
    mailbox.drain()
    assert got == ["first begins", "first ends", "second begins", "second ends"]


def test_a_long_batch_leaves_turns_for_others() -> None:
    got: list[int] = []
    mailbox, loop = made(got.append)
    elsewhere(lambda: put_all(mailbox, range(TURN + 1)))
    loop.turn()
    assert len(got) == TURN
    loop.turn()
    assert got == list(range(TURN + 1))


def test_one_failure_does_not_stop_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    got: list[int] = []

    def handle(item: int) -> None:
        if item == 0:
            raise ValueError(item)
        got.append(item)

    mailbox, _ = made(handle)
    mailbox.put(0)
    mailbox.put(1)
    mailbox.drain()
    assert got == [1]
    assert "handling 0 failed" in caplog.text


def test_a_closed_loop_swallows_what_comes_too_late() -> None:
    loop = asyncio.new_event_loop()
    mailbox: Mailbox[int] = Mailbox(loop, lambda item: None)
    loop.close()
    mailbox.put(1)
    assert len(mailbox) == 1


def test_producers_on_many_threads_keep_their_own_order() -> None:
    got: list[tuple[int, int]] = []
    mailbox, loop = made(got.append)
    theirs = [[(who, number) for number in range(500)] for who in range(4)]
    threads = [threading.Thread(target=put_all, args=(mailbox, items)) for items in theirs]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or len(got) < 2000:
        loop.turn()
    for who in range(4):
        assert [number for producer, number in got if producer == who] == list(range(500))
