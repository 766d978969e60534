"""Which nodes may run a sworm's processes, by their labels.

Law: pure. A constraint is a label with an operator and values; all of a sworm's constraints must hold. People write
{"zone": "a"} (equal), {"zone": ["a", "b"]} (one of), {"disk": {"not": "slow"}} (not, or none of a list; a node without
the label passes), {"gpu": true} (has the label) and {"gpu": false} (lacks it). These are the set-based selectors of
Kubernetes (In, NotIn, Exists, DoesNotExist); no order is defined, since label values are text. A definition carries
what was written in its frozen form (`registry.core.frozen`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from registry.core.ids import SLUG

IN = "in"
NOT_IN = "not_in"
EXISTS = "exists"
LACKS = "lacks"
OPERATORS = (IN, NOT_IN, EXISTS, LACKS)

#: Constraints of one sworm, and values of one constraint, at most.
MOST = 32
#: Longest value, as for an agent's `--label`.
MAX_VALUE = 255

_FORMS = 'a text, a list of texts, {"not": text or list}, true (has the label) or false (lacks it)'


class Constraint(NamedTuple):
    """One demand on a node's labels; `values` is empty for exists and lacks."""

    label: str
    operator: str
    values: tuple[str, ...] = ()


Constraints = tuple[Constraint, ...]


class BadConstraint(ValueError):
    """A constraint cannot be understood; the message names its label and what would be right."""


def parse(value: Any) -> Constraints:
    """Constraints as people write them, in order of their labels. Raises `BadConstraint`."""
    if not isinstance(value, Mapping):
        raise BadConstraint('must be an object of labels, as {"zone": "a"}')
    if len(value) > MOST:
        raise BadConstraint(f"has {len(value)} labels; at most {MOST} are allowed")
    return tuple(_parse_one(label, value[label]) for label in sorted(value, key=str))


def _parse_one(label: Any, wanted: Any) -> Constraint:
    if not isinstance(label, str) or not SLUG.match(label):
        raise BadConstraint(f"label {label!r} must match [a-z][a-z0-9_-]{{0,62}}, as the keys of --label")
    if wanted is True:
        return Constraint(label, EXISTS)
    if wanted is False:
        return Constraint(label, LACKS)
    if isinstance(wanted, Mapping):
        if list(wanted) != ["not"]:
            raise BadConstraint(f'{label}: {dict(wanted)!r} has another key than "not"; it must be {_FORMS}')
        return Constraint(label, NOT_IN, _values(label, wanted["not"]))
    return Constraint(label, IN, _values(label, wanted))


def _values(label: str, wanted: Any) -> tuple[str, ...]:
    listed = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(listed, list | tuple):
        raise BadConstraint(f"{label}: {wanted!r} must be {_FORMS}; label values are text")
    if not 1 <= len(listed) <= MOST:
        raise BadConstraint(f"{label}: has {len(listed)} values; 1 to {MOST} are allowed")
    for value in listed:
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_VALUE or not value.isprintable():
            raise BadConstraint(f"{label}: {value!r} is not a label's value: printable text, 1 to {MAX_VALUE} long")
    return tuple(dict.fromkeys(listed))


def written(value: Any) -> dict[str, Any]:
    """Constraints as people write them, out of the frozen form that a definition carries. Raises `BadConstraint`."""
    if not isinstance(value, tuple):
        raise BadConstraint('must be an object of labels, as {"zone": "a"}')
    return {label: _thawed(wanted) for label, wanted in _pairs(value)}


def _thawed(wanted: Any) -> Any:
    if not isinstance(wanted, tuple):
        return wanted
    if wanted and all(isinstance(item, tuple) and len(item) == 2 for item in wanted):
        return {key: _thawed(item) for key, item in _pairs(wanted)}
    return list(wanted)


def _pairs(value: tuple[Any, ...]) -> tuple[tuple[Any, Any], ...]:
    if not all(isinstance(item, tuple) and len(item) == 2 for item in value):
        raise BadConstraint(f"{value!r} are not pairs of a label and what is wanted of it")
    return value


def of_definition(value: tuple[tuple[str, Any], ...]) -> Constraints:
    """The demands of a definition, out of the frozen form that it carries. Raises `BadConstraint`."""
    return parse(written(value)) if value else ()


def holds(constraint: Constraint, labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels meets one demand."""
    value = labels.get(constraint.label)
    match constraint.operator:
        case "in":
            return value in constraint.values
        case "not_in":
            return value not in constraint.values
        case "exists":
            return value is not None
        case _:
            return value is None


def eligible(constraints: Iterable[Constraint], labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels may run the processes."""
    return all(holds(constraint, labels) for constraint in constraints)


def described(constraints: Iterable[Constraint]) -> str:
    """The constraints in words, for refusals: `zone is a or b, disk is not slow, has gpu`."""
    return ", ".join(_described_one(constraint) for constraint in constraints)


def _described_one(constraint: Constraint) -> str:
    values = " or ".join(constraint.values)
    words = {IN: f"{constraint.label} is {values}", NOT_IN: f"{constraint.label} is not {values}"}
    return words.get(constraint.operator, f"{'has' if constraint.operator == EXISTS else 'lacks'} {constraint.label}")
