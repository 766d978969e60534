"""What a target may name, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.core.events import WorkerExited
from supervisor.errors import StartError, TargetNotAllowed, TargetNotFound
from supervisor.workers.target import Target, check_allowed, is_plain, is_worker_class, load, parse
from tests.supervisor.workers import samples
from tests.supervisor.workers.release import release
from tests.supervisor.workers.stage import SAMPLES, Stage


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "os",
        "os:",
        ":system",
        "os:path.join",
        "os:a:b",
        "a..b:c",
        "a b:c",
        "os:sys tem",
        "../os:system",
        "os:1a",
    ],
)
def test_anything_but_module_and_identifier_is_not_found(text: str) -> None:
    with pytest.raises(TargetNotFound, match="not of the form"):
        parse(text)


def test_a_target_has_a_module_and_one_identifier() -> None:
    assert parse("my.code:Room") == Target("my.code", "Room")


@pytest.mark.parametrize(
    ("module", "agent", "definition", "allowed"),
    [
        ("examples", ("examples",), (), True),
        ("examples.counters", ("examples",), (), True),
        ("examples_evil", ("examples",), (), False),
        ("os", ("examples",), (), False),
        ("os", (), (), False),
        ("examples.counters", ("examples",), ("examples.counters",), True),
        ("examples.probes", ("examples",), ("examples.counters",), False),
        ("os", ("examples",), ("os",), False),
    ],
)
def test_both_lists_must_allow_a_module(
    module: str, agent: tuple[str, ...], definition: tuple[str, ...], allowed: bool
) -> None:
    if allowed:
        check_allowed(Target(module, "x"), agent, definition)
    else:
        with pytest.raises(TargetNotAllowed):
            check_allowed(Target(module, "x"), agent, definition)


def test_only_what_the_module_itself_defines_is_found() -> None:
    assert load(Target(SAMPLES, "Echo")) is samples.Echo
    for name, why in [("system", "defined elsewhere"), ("Worker", "defined elsewhere"), ("number", "not callable"),
                      ("Nobody", "has no Nobody"), ("__name__", "not callable")]:  # fmt: skip
        with pytest.raises(TargetNotFound, match=why):
            load(Target(SAMPLES, name))


def test_a_module_that_is_not_there_is_not_found() -> None:
    with pytest.raises(TargetNotFound, match="no module"):
        load(Target("tests.supervisor.workers.nothing", "Echo"))


def test_what_an_import_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_module.py").write_text("import a_module_that_does_not_exist\n")
    (tmp_path / "leaving_module.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(StartError, match="a_module_that_does_not_exist"):
        load(Target("broken_module", "x"))
    with pytest.raises(StartError, match="SystemExit: 3"):
        load(Target("leaving_module", "x"))


def test_which_kind_of_worker_it_is() -> None:
    assert is_worker_class(samples.Echo)
    assert not is_plain(samples.Echo)
    assert not is_plain(samples.room)
    assert is_plain(samples.job)


@pytest.mark.asyncio
async def test_a_refused_target_is_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "forbidden_module.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    stage = Stage()
    for isolation in ("task", "process"):
        assert (await stage.failure("forbidden_module:x", isolation=isolation)).code == "target_not_allowed"
    failed = await stage.failure("Echo", allowed_modules=("examples",))
    assert failed.code == "target_not_allowed"
    assert not (tmp_path / "imported").exists()


@pytest.mark.asyncio
async def test_an_import_that_blocks_is_a_failed_start_and_blocks_nobody_else() -> None:
    stage = Stage(import_timeout=0.05)
    await stage.start("Echo")
    blocked = await stage.failure("tests.supervisor.workers.blocking:Echo")
    assert (blocked.code, "longer than 0.05 s" in blocked.detail) == ("start_failed", True)
    again = await stage.failure("tests.supervisor.workers.blocking:Echo")
    assert "longer than 0.05 s" in again.detail
    release.set()
    await stage.until(lambda: not stage.workers.loader.blocked)
    assert await stage.start("tests.supervisor.workers.blocking:Echo")


@pytest.mark.asyncio
async def test_a_stop_during_an_import_is_answered() -> None:
    stage = Stage()
    order = stage.order("Echo")
    stage.workers.start(order)
    parked = stage.send(order.serial, 1)
    stage.workers.stop(order.serial, "shutdown")
    assert stage.of(order.serial) == [WorkerExited(order.serial, True)]
    assert parked.end == ("bounce", "")
    await stage.start("Echo")
    assert len(stage.of(order.serial)) == 1
