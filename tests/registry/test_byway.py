"""What goes over the byway, and what stays: by message and peer, in order."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from registry.byway import NEAR, is_awaited, is_push, push, take
from registry.core.events import Disconnect, Report, Send, Ticked, Wake
from registry.core.messages import DIRECTORY, Ack, Claim, Delta, SummaryHash, Verdict, Want
from registry.runner import Hooks, Runner
from tests.registry.test_runner import Answer, RecordingMesh, ScriptedCore
from tests.turns import until

A, B, C = "a.1", "b.1", "c.1"
ACK = Ack({"rooms": {A: 1}})
CLAIM = Claim("c", "register", "rooms", "lobby", None, 0, "", "", 0, 0)
VERDICT = Verdict("c", "started", "a.1.1", 1, A, 1)
PUSH = Delta("rooms", A, 0, 1, [])
BEAT = SummaryHash(b"", 0, 0)


class Path:
    """A path that takes what it is given, except to those in `closed`."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop: Any = loop
        self.thread = threading.get_ident()
        self.sent: list[tuple[str, Any]] = []
        self.closed: set[str] = set()
        self.flushes = 0

    def send(self, origin: str, message: Any) -> bool:
        if origin not in self.closed:
            self.sent.append((origin, message))
        return origin not in self.closed

    def push(self, origin: str, message: Any) -> bool:
        return self.send(origin, message)

    def flush(self) -> None:
        self.flushes += 1


@pytest.mark.parametrize("message", [ACK, CLAIM, VERDICT, PUSH._replace(urgent=True)])
def test_somebody_waits_for(message: Any) -> None:
    assert is_awaited(message)


@pytest.mark.parametrize("message", [PUSH, BEAT, Want("rooms", A, 0), Delta(DIRECTORY, A, 0, 1, [], urgent=True)])
def test_nobody_waits_for(message: Any) -> None:
    assert not is_awaited(message)


def test_what_is_awaited_takes_along_what_leaves_with_it_for_the_same_peer_in_order() -> None:
    path = Path()
    effects = [Send(B, PUSH), Send(C, PUSH), Send(B, VERDICT), Disconnect(C, "")]
    assert take(effects, path) == [Send(C, PUSH), Disconnect(C, "")]
    assert path.sent == [(B, PUSH), (B, VERDICT)]
    assert path.flushes == 1


def test_what_the_path_does_not_take_stays_in_order() -> None:
    path = Path()
    path.closed = {B}
    effects = [Send(B, PUSH), Send(B, VERDICT), Send(C, CLAIM)]
    assert take(effects, path) == effects[:2]
    assert path.sent == [(C, CLAIM)]


def test_without_anything_awaited_nothing_is_touched() -> None:
    path = Path()
    effects = [Send(B, PUSH), Send(C, BEAT)]
    assert take(effects, path) == effects
    assert (path.sent, path.flushes) == ([], 0)


def test_only_changes_of_a_sworm_are_pushed_and_what_is_not_taken_stays() -> None:
    assert is_push(Send(B, PUSH))
    assert not is_push(Send(B, BEAT))
    assert not is_push(Send(B, Delta(DIRECTORY, A, 0, 1, [])))
    path = Path()
    path.closed = {C}
    assert push([Send(B, PUSH), Send(C, PUSH)], path) == [Send(C, PUSH)]
    assert (path.sent, path.flushes) == ([(B, PUSH)], 1)


# ------------------------------------------------------------------------------------------------- a runner with one


class Twofold:
    """A runner whose mesh lives on this loop, and a second thread with a loop and the path."""

    def __init__(self, effects: list[Any], hooks: Hooks | None = None) -> None:
        self.mesh = RecordingMesh()
        self.core = ScriptedCore(lambda event: list(effects) if event == "asked" else [])
        self.runner = Runner(self.core, time.time, hooks, after_sends=(Answer,))
        self.other = asyncio.new_event_loop()
        self.path: Path

    async def __aenter__(self) -> Twofold:
        self.thread = threading.Thread(target=self.other.run_forever)
        self.thread.start()
        self.runner.start(self.mesh)  # type: ignore[arg-type]
        await self.there(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.runner.stop()
        self.other.call_soon_threadsafe(self.other.stop)
        await asyncio.to_thread(self.thread.join)
        self.other.close()

    def _open(self) -> None:
        self.path = Path(self.other)
        self.runner.open_path(self.path)

    async def there(self, function: Any, *args: Any) -> None:
        """Call on the other loop, and return after that turn of it."""

        async def call() -> None:
            function(*args)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), self.other))


def test_a_step_on_the_paths_thread_sends_what_is_awaited_at_once_and_pushes_a_moment_later() -> None:
    async def body() -> None:
        async with Twofold([Send(B, VERDICT), Send(C, PUSH), Send(C, BEAT)]) as two:
            await two.there(two.runner.enter, "asked")
            await until(lambda: two.path.sent == [(B, VERDICT), (C, PUSH)])
            await until(lambda: ("send", C, BEAT) in two.mesh.calls)
            assert two.mesh.threads == {threading.get_ident()}

    asyncio.run(body())


def test_a_push_that_the_path_does_not_take_goes_home() -> None:
    async def body() -> None:
        async with Twofold([Send(C, PUSH)]) as two:
            two.path.closed = {C}
            await two.there(two.runner.enter, "asked")
            await until(lambda: ("send", C, PUSH) in two.mesh.calls)
            assert two.path.sent == []

    asyncio.run(body())


def test_a_tick_due_in_a_moment_is_made_on_the_paths_loop_and_a_later_one_at_home() -> None:
    async def body(wait: float) -> set[int]:
        ticked: set[int] = set()
        async with Twofold([Wake(time.time() + wait)]) as two:
            rule = two.core.rule

            def noting(event: Any) -> list[Any]:
                if event == Ticked():
                    ticked.add(threading.get_ident())
                return rule(event)

            two.core.rule = noting
            await two.there(two.runner.enter, "asked")
            await until(lambda: ticked)
            return ticked - {threading.get_ident()}

    assert asyncio.run(body(NEAR / 4))
    assert not asyncio.run(body(10 * NEAR))


def test_a_step_at_home_keeps_to_the_mesh() -> None:
    async def body() -> None:
        async with Twofold([Send(B, VERDICT)]) as two:
            two.runner.enter("asked")
            await until(lambda: ("send", B, VERDICT) in two.mesh.calls)
            assert two.path.sent == []

    asyncio.run(body())


def test_an_answer_waits_for_the_sends_before_it() -> None:
    seen: list[Any] = []

    async def body() -> None:
        hooks = Hooks(effect=lambda effect: seen.append((effect, list(two.path.sent))), report=seen.append)
        two = Twofold([Send(B, VERDICT), Answer(1), Report("started")], hooks)
        async with two:
            await two.there(two.runner.enter, "asked")

    asyncio.run(body())
    assert seen == [Report("started"), (Answer(1), [(B, VERDICT)])]


def test_a_tick_that_is_due_is_made_in_the_same_turn() -> None:
    async def body() -> None:
        async with Twofold([Wake(0.0)]) as two:
            two.core.events.clear()
            await two.there(two.runner.enter, "asked")
            assert two.core.events[:2] == ["asked", Ticked()]

    asyncio.run(body())


def test_what_lies_on_a_loop_that_is_held_up_is_taken_over_at_the_next_tick() -> None:
    async def body() -> None:
        held, free = threading.Event(), threading.Event()

        def hold_up() -> None:
            two.runner.enter("asked")
            held.set()
            free.wait(20)

        async with Twofold([Send(B, VERDICT), Wake(time.time() + 0.05)]) as two:
            two.other.call_soon_threadsafe(hold_up)
            try:
                await until(held.is_set)
                two.runner.enter("something else")  # arms the timer for the wish of the step over there
                await until(lambda: ("send", B, VERDICT) in two.mesh.calls)
            finally:
                free.set()

    asyncio.run(body())


def test_after_quiet_pushes_leave_with_the_answer_that_they_belong_to_and_in_a_crowd_they_wait() -> None:
    async def body() -> None:
        async with Twofold([Send(B, VERDICT), Send(C, PUSH)]) as two:

            def asked_twice() -> None:
                two.runner.enter("asked")
                two.other.call_soon(after_one)

            def after_one() -> None:
                turns.append(list(two.path.sent))
                two.runner.enter("asked")
                two.other.call_soon(after_two)

            def after_two() -> None:
                turns.append(list(two.path.sent))

            turns: list[list[Any]] = []
            two.other.call_soon_threadsafe(asked_twice)
            await until(lambda: len(turns) == 2)
            assert turns == [[(B, VERDICT), (C, PUSH)], [(B, VERDICT), (C, PUSH), (B, VERDICT)]]
            await until(lambda: two.path.sent[3:] == [(C, PUSH)])

    asyncio.run(body())
