"""Processes are known again, and ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swormweb.launch.parts import ROOT
from swormweb.launch.process import LOG_LIMIT, Adopted, Running, end, rotate, spawn, wait_ended

#: Ends neither by SIGTERM nor by SIGINT, and has a child that does not either; says when it is ready.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_alive_until_it_ends(sleeper: subprocess.Popen[bytes]) -> None:
    running = Running.of(sleeper.pid)
    assert running.alive
    assert end([running], signal.SIGTERM, 10) == []
    assert not running.alive  # though nobody has waited for it yet


def test_another_process_with_the_same_id_is_somebody_else(sleeper: subprocess.Popen[bytes]) -> None:
    earlier = Running(sleeper.pid, Running.of(sleeper.pid).created - 100)
    assert not earlier.alive
    earlier.signal(signal.SIGKILL)
    assert end([earlier], signal.SIGKILL, 1) == []
    assert sleeper.poll() is None


def test_a_process_that_never_was_does_not_live() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert not Running.of(process.pid).alive
    assert wait_ended([Running.of(process.pid)], 0)


def test_waiting_ends_when_patience_does(sleeper: subprocess.Popen[bytes]) -> None:
    assert not wait_ended([Running.of(sleeper.pid)], 0.01)


def test_whoever_does_not_obey_is_killed_with_all_it_started() -> None:
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = Running.of(int(process.stdout.readline()))
    running = Running.of(process.pid)
    assert end([running], signal.SIGTERM, 0.05) == [running]
    assert not running.alive
    assert not child.alive
    process.wait()
    process.stdout.close()


def test_a_part_holds_nothing_of_its_launcher(tmp_path: Path) -> None:
    script = "import os; print(os.getsid(0) == os.getpid(), os.read(0, 1), os.readlink('/proc/self/fd/2'))"
    log = tmp_path / "part.log"
    process = spawn([sys.executable, "-c", script], {"PATH": os.environ["PATH"]}, log, tmp_path)
    assert process.wait() == 0
    assert log.read_text() == f"True b'' {log}\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    for word in ("one", "two"):
        assert spawn(["echo", word], {"PATH": os.environ["PATH"]}, log, tmp_path).wait() == 0
    assert log.read_text() == "one\ntwo\n"


def test_a_log_that_has_grown_too_large_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("wb") as file:
        file.truncate(LOG_LIMIT + 1)
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "part.log.1").stat().st_size == LOG_LIMIT + 1
    log.write_text("new\n")
    rotate(log)
    assert log.exists()


#: A launcher in small: its helper forks a child and ends; the launcher is the child's parent from then on.
ADOPTING = """
import subprocess, sys, time
from swormweb.launch.process import Adopted, adopt_orphans
adopt_orphans()
helper = "import os, time\\npid = os.fork()\\nif pid: print(pid)\\nelse:\\n os.close(1); time.sleep(0.05); os._exit(7)"
done = subprocess.run([sys.executable, "-c", helper], capture_output=True, check=True)
child = Adopted(int(done.stdout))
while child.poll() is None:
    time.sleep(0.01)
print(child.returncode)
"""


def test_a_child_of_a_helper_that_ended_is_adopted() -> None:
    done = subprocess.run([sys.executable, "-c", ADOPTING], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "7\n"


def test_somebody_elses_process_is_seen_to_end(sleeper: subprocess.Popen[bytes]) -> None:
    grandchild = Adopted(1)
    assert grandchild.poll() is None
    never = Adopted(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert never.poll() == -1
