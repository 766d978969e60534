"""`ProcessExecutor`: real children."""

# ruff: noqa: ASYNC220 - what other processes do can only be polled

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from supervisor.core.events import StateGiven, StateTaken, WorkerExited, WorkerStarted
from supervisor.errors import BadValue, NotHandled, WorkerCrashed
from supervisor.workers.launch import environment
from supervisor.workers.values import pack, unpack
from tests.supervisor.workers.stage import LIMIT, Stage
from tests.turns import until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.workers.stop_all("shutdown", LIMIT)
    assert stage.workers.running == {}


async def written(path: Path) -> str:
    return str(await until(lambda: path.exists() and path.read_text()))


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_plain_function_runs_elsewhere_to_its_end(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    serial = await stage.start("job", str(tmp_path / "out"), "done")
    assert await stage.told(WorkerExited, serial) == WorkerExited(serial, True)
    assert (tmp_path / "out").read_text() == "done"
    await stage.until(lambda: f"chat/name{serial} | working" in caplog.text)


async def test_a_plain_function_takes_no_messages(stage: Stage, tmp_path: Path) -> None:
    serial = await stage.start("endless", str(tmp_path / "pid"))
    with pytest.raises(NotHandled):
        await stage.call(serial, 1)
    stage.workers.take_state(serial, 1.0)
    assert stage.of(serial)[-1] == StateTaken(serial, b"", False)
    stage.workers.stop(serial, "shutdown")
    await stage.told(WorkerExited, serial)


async def test_stopping_a_plain_function_lets_it_clean_up(stage: Stage, tmp_path: Path) -> None:
    serial = await stage.start("endless", str(tmp_path / "pid"))
    pid = int(await written(tmp_path / "pid"))
    stage.workers.stop(serial, "shutdown")
    assert await stage.told(WorkerExited, serial) == WorkerExited(serial, True)
    assert not is_alive(pid)
    assert (tmp_path / "pid").read_text() == "cleaned"


@pytest.mark.parametrize(
    ("target", "args", "normal", "detail"),
    [("failing", (), False, "ValueError: job"), ("leaving", (0,), True, ""), ("leaving", (3,), False, "SystemExit: 3")],
)
async def test_how_a_plain_function_ends(
    stage: Stage, target: str, args: tuple[int, ...], normal: bool, detail: str
) -> None:
    serial = await stage.start(target, *args)
    exited = await stage.told(WorkerExited, serial)
    assert exited.normal == normal
    assert detail in exited.detail


async def test_a_worker_object_in_a_process_of_its_own(stage: Stage) -> None:
    serial = await stage.start("Echo", isolation="process", kwargs={"seat": 4})
    assert await stage.call(serial, "os_pid") != os.getpid()
    who = ["chat", f"name{serial}", f"n1.1.{serial}", 10 + serial]
    assert await stage.call(serial, "who") == who
    assert await stage.call(serial, "current") == who
    assert await stage.call(serial, "kept") == {"seat": 4}
    assert await stage.call(serial, {"deep": [b"bytes", None]}) == {"deep": [b"bytes", None]}
    with pytest.raises(WorkerCrashed, match="not me"):
        await stage.call(serial, {"refuse": "not me"})
    stage.workers.stop(serial, "shutdown")
    assert await stage.told(WorkerExited, serial) == WorkerExited(serial, True)


async def test_a_coroutine_function_in_a_process_of_its_own(stage: Stage) -> None:
    serial = await stage.start("room", "cats", isolation="process")
    stage.cast(serial, "a")
    assert await stage.call(serial, "all") == ["cats", "a"]
    with pytest.raises(WorkerCrashed, match="ended without answering"):
        await stage.call(serial, "return")
    assert await stage.told(WorkerExited, serial) == WorkerExited(serial, True)


async def test_a_crash_in_a_child_is_as_one_at_home(stage: Stage) -> None:
    serial = await stage.start("Echo", isolation="process")
    with pytest.raises(WorkerCrashed, match="ValueError: no seat"):
        await stage.call(serial, {"raise": "no seat"})
    exited = await stage.told(WorkerExited, serial)
    assert not exited.normal
    assert "no seat" in exited.detail


async def test_what_comes_after_a_crash_goes_to_whoever_is_next(stage: Stage) -> None:
    serial = await stage.start("Echo", isolation="process")
    with pytest.raises(WorkerCrashed, match="no seat"):
        await stage.call(serial, {"raise": "no seat"})
    late = stage.send(serial, "late")
    await stage.told(WorkerExited, serial)
    assert await late.wait() == ("bounce", "")


@pytest.mark.parametrize("size", [17_000_000, 50_000_000])
async def test_what_is_too_large_for_the_pipe_is_refused_and_the_worker_lives(stage: Stage, size: int) -> None:
    serial = await stage.start("Large", isolation="process")
    with pytest.raises(WorkerCrashed, match="the worker's reply is too large"):
        await stage.call(serial, size)
    with pytest.raises(BadValue, match="the message is too large"):
        await stage.call(serial, b"x" * size)
    assert await stage.call(serial, "short") == 5


async def test_a_killed_child_is_a_crash_that_says_so(stage: Stage) -> None:
    serial = await stage.start("Echo", isolation="process")
    with pytest.raises(WorkerCrashed, match="killed by SIGKILL"):
        await stage.call(serial, "kill")
    assert (await stage.told(WorkerExited, serial)).detail == "the process was killed by SIGKILL"


@pytest.mark.parametrize(
    ("target", "code", "detail"),
    [
        ("BadInit", "start_failed", "ValueError: no seat"),
        ("Nothing", "target_not_found", "has no Nothing"),
        ("system", "target_not_found", "defined elsewhere"),
    ],
)
async def test_what_cannot_start_in_a_child(stage: Stage, target: str, code: str, detail: str) -> None:
    failed = await stage.failure(target, isolation="process")
    assert failed.code == code
    assert detail in failed.detail
    assert stage.workers.running == {}


async def test_the_state_comes_out_of_a_child_with_what_it_had_not_begun(stage: Stage) -> None:
    serial = await stage.start("Echo", isolation="process")
    assert await stage.cast(serial, "a").wait() == ("reply", None)
    stage.workers.freeze_gate(serial)
    parked = stage.cast(serial, "b")
    stage.workers.take_state(serial, 10.0)
    taken = await stage.told(StateTaken, serial)
    assert (taken.stateful, taken.problem, unpack(taken.state)) == (True, "", ["a"])
    stage.workers.bounce_gate(serial, "n2.1.5")
    assert parked.end == ("bounce", "n2.1.5")
    heir = await stage.start("Echo", isolation="process", state=["a"])
    stage.workers.give_state(heir, "n2.1.5", pack(["theirs"]))
    assert await stage.told(StateGiven, heir) == StateGiven(heir, "n2.1.5")
    assert await stage.call(heir, "casts") == ["a", "theirs"]


async def test_messages_keep_their_order_through_freeze_and_thaw(stage: Stage) -> None:
    serial = await stage.start("Echo", isolation="process")
    for number in range(50):
        stage.cast(serial, number)
    stage.workers.freeze_gate(serial)
    for number in range(50, 100):
        stage.cast(serial, number)
    stage.workers.open_gate(serial)
    for number in range(100, 120):
        stage.cast(serial, number)
    assert await stage.call(serial, "casts") == list(range(120))


async def test_a_child_that_does_not_listen_is_killed(stage: Stage) -> None:
    stage.workers.grace = 0.05
    serial = await stage.start("Echo", isolation="process")
    pid = await stage.call(serial, "os_pid")
    os.kill(pid, signal.SIGSTOP)
    stage.workers.take_state(serial, 0.05)
    assert (await stage.told(StateTaken, serial)).problem == "no state within 0.05 s"
    stage.workers.stop(serial, "shutdown")
    assert (await stage.told(WorkerExited, serial)).normal
    assert not is_alive(pid)


async def test_a_stop_before_the_child_is_there_is_answered(stage: Stage) -> None:
    order = stage.order("Echo", isolation="process")
    stage.workers.start(order)
    stage.workers.stop(order.serial, "shutdown")
    assert await stage.told(WorkerExited, order.serial) == WorkerExited(order.serial, True)
    assert WorkerStarted(order.serial) not in stage.events


async def test_a_child_never_outlives_its_agent(tmp_path: Path) -> None:
    program = f"""
import asyncio
from tests.supervisor.workers.stage import Stage
async def main():
    stage = Stage()
    await stage.start("endless", {str(tmp_path / "pid")!r})
    await asyncio.Event().wait()
asyncio.run(main())
"""
    agent = subprocess.Popen([sys.executable, "-c", program])
    try:
        pid = int(await written(tmp_path / "pid"))
    finally:
        agent.kill()
        agent.wait()
    await until(lambda: not is_alive(pid))


async def test_a_child_sees_none_of_the_agents_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWORM_CLUSTER_KEY", "secret")
    monkeypatch.setenv("REDIS_URL", "secret")
    monkeypatch.setenv("PYTHONPATH", "/my/code")
    env = environment()
    assert "secret" not in env.values()
    assert env["PYTHONPATH"].split(os.pathsep)[0] == "/my/code"
