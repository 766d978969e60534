"""A definition is refused where it enters, with a sentence for each field, or obeyed whole."""

from __future__ import annotations

from typing import Any

import pytest

from registry.core.directory import DEFINED_DELETED, DEFINED_REVISION
from registry.core.frozen import frozen
from supervisor.core.definitions import from_wire, to_wire
from supervisor.core.spec import BOUNDS, Definition, allows, check


def test_the_defaults_can_be_obeyed() -> None:
    assert check(Definition("rooms")) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Rooms"),
        ("restart", "sometimes"),
        ("distribution_strategy", "sideways"),
        ("redistribution", "eager"),
        ("isolation", "thread"),
        ("max_restarts", -1),
        ("max_restarts", True),
        ("max_seconds", "5"),
        ("handoff_timeout_ms", 1),
        ("max_sync_size", 0),
        ("constraints", (("zone", 1),)),
    ],
)
def test_what_cannot_be_obeyed_is_named(field: str, value: Any) -> None:
    wrong = check(Definition("rooms")._replace(**{field: value}))
    assert list(wrong) == [field]
    assert (repr(value) if field != "constraints" else "zone: 1") in wrong[field]


@pytest.mark.parametrize(
    ("strategy", "allowed", "wrong"),
    [
        ("chat.placing:near", (), ""), ("chat.placing:near", ("chat",), ""), ("placing:near", ("placing",), ""),
        ("chat:near", ("games",), "module chat is not among allowed_modules: games"),
        ("chat.placing", (), "nor module:function"), ("chat:a.b", (), "nor module:function"),
        (":near", (), "nor module:function"), ("chat:", (), "nor module:function"), (7, (), "nor module:function"),
    ],
)  # fmt: skip
def test_a_strategy_of_ones_own_is_a_function_of_an_allowed_module(strategy: Any, allowed: Any, wrong: str) -> None:
    found = check(Definition("rooms", distribution_strategy=strategy, allowed_modules=allowed))
    assert wrong in found.pop("distribution_strategy", "")
    assert found == {}


@pytest.mark.parametrize("field", BOUNDS)
def test_bounds_are_inclusive(field: str) -> None:
    for bound in BOUNDS[field]:
        wrong = check(Definition("rooms")._replace(**{field: bound}))
        assert field not in wrong or "is not a number" not in wrong[field]


@pytest.mark.parametrize(
    ("module", "allowed"), [("chat", True), ("chat.rooms", True), ("chatty", False), ("os", False), ("", False)]
)
def test_a_prefix_is_the_module_or_what_lies_below_it(module: str, allowed: bool) -> None:
    assert allows(("examples", "chat"), module) is allowed


def test_a_definition_survives_the_wire_in_plain_values() -> None:
    constraints = frozen({"zone": ["a", "b"], "gpu": True})
    mine = Definition("rooms", 3, allowed_modules=("chat",), handoff=True, constraints=constraints)
    assert from_wire(list(to_wire(mine))) == mine
    assert type(to_wire(mine)) is tuple


@pytest.mark.parametrize("value", [(), ("rooms", 1, "sometimes"), ("rooms", *[0] * 40), 7])
def test_what_this_version_cannot_obey_is_no_definition(value: Any) -> None:
    assert from_wire(value) is None


def test_what_the_registry_reads_of_a_definition_stands_where_it_looks() -> None:
    assert Definition._fields[DEFINED_REVISION] == "revision"
    assert Definition._fields[DEFINED_DELETED] == "deleted"
