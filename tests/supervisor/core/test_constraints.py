"""Label constraints: what people write is understood or refused with a sentence, and decides who is eligible.

Named invariant: only-eligible.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.frozen import frozen
from supervisor.core.constraints import BadConstraint, described, eligible, of_definition, parse, written
from tests.laws import law

labels = st.sampled_from(["zone", "disk", "gpu", "rack-1"])
values = st.sampled_from(["a", "b", "fast", "slow", "0"])
wanted = st.one_of(
    values,
    st.lists(values, min_size=1, max_size=3),
    st.booleans(),
    st.fixed_dictionaries({"not": st.one_of(values, st.lists(values, min_size=1, max_size=3))}),
)
constraint_sets = st.dictionaries(labels, wanted, max_size=3)
label_sets = st.dictionaries(labels, values, max_size=4)


def meets(wanted: Any, value: str | None) -> bool:
    """The reference: one demand, read as the documentation says it."""
    if isinstance(wanted, bool):
        return (value is not None) is wanted
    if isinstance(wanted, dict):
        return not meets(wanted["not"], value)
    return value in ([wanted] if isinstance(wanted, str) else wanted)


@law(60)
@given(constraint_sets, label_sets)
def test_a_node_is_eligible_when_it_meets_every_demand(wanted: dict[str, Any], node: dict[str, str]) -> None:
    assert eligible(parse(wanted), node) == all(meets(demand, node.get(label)) for label, demand in wanted.items())


@law(60)
@given(constraint_sets)
def test_what_is_written_is_read_again(wanted: dict[str, Any]) -> None:
    constraints = parse(wanted)
    assert written(frozen(wanted)) == wanted
    assert of_definition(frozen(wanted)) == constraints
    assert described(constraints).count(",") == max(0, len(constraints) - 1)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ([], "must be an object"), ("zone=a", "must be an object"), (None, "must be an object"),
        ({"Zone": "a"}, "'Zone'"), ({"": "a"}, "''"), ({7: "a"}, "7"),
        ({"zone": 1}, "zone: 1"), ({"zone": None}, "zone: None"), ({"zone": []}, "zone: has 0 values"),
        ({"zone": ["a", 2]}, "zone: 2"), ({"zone": ""}, "zone: ''"), ({"zone": "a\n"}, "zone: 'a\\n'"),
        ({"zone": "x" * 256}, "zone:"), ({"zone": {"not": 1}}, "zone: 1"), ({"zone": {"in": "a"}}, "another key"),
        ({"zone": {}}, "another key"), ({"zone": {"not": "a", "in": "b"}}, "another key"),
        ({f"l{n}": "a" for n in range(33)}, "33 labels"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(wanted: Any, named: str) -> None:
    with pytest.raises(BadConstraint) as caught:
        parse(wanted)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "value", [(("zone", 1),), (("zone", ()),), ("zone",), ((1, "a"),), ("xy",), (("zone", (("in", "a"),)),)]
)
def test_what_came_over_the_wire_is_checked(value: Any) -> None:
    with pytest.raises(BadConstraint):
        of_definition(value)
