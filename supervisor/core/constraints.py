"""Which nodes may run a sworm's processes, by their labels.

Law: pure. A constraint is a label with an operator and values; all of a sworm's constraints must hold. People write
{"zone": "a"} (equal), {"zone": ["a", "b"]} (one of), {"disk": {"not": "slow"}} (not, or none of a list; a node without
the label passes), {"gpu": true} (has the label) and {"gpu": false} (lacks it). These are the set-based selectors of
Kubernetes (In, NotIn, Exists, DoesNotExist); no order is defined, since label values are text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


def from_wire(value: Sequence[Any]) -> Constraints:
    """Constraints as a definition carries them. Raises `BadConstraint`, `TypeError`, `ValueError`."""
    constraints = tuple(Constraint(label, operator, tuple(values)) for label, operator, values in value)
    if parse(written(constraints)) != constraints:
        raise BadConstraint(f"{value!r} is not in the form that this version writes")
    return constraints


def written(constraints: Iterable[Constraint]) -> dict[str, Any]:
    """Constraints as people write them: what `parse` reads."""
    return {constraint.label: _written_one(constraint) for constraint in constraints}


def _written_one(constraint: Constraint) -> Any:
    values: Any = constraint.values[0] if len(constraint.values) == 1 else list(constraint.values)
    if constraint.operator == IN:
        return values
    if constraint.operator == NOT_IN:
        return {"not": values}
    return constraint.operator == EXISTS


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
