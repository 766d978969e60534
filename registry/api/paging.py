"""Lists: strict query parameters, keyset cursors, the envelope.

Law: a page is found by the key it starts after, never by counting, so that a list that changes meanwhile loses and
repeats nothing that was there all the time. Filters apply before the limit. A parameter that the list does not know is
refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db.models import BooleanField, F, Func, QuerySet, Value
from django.db.models.expressions import Combinable
from django.http import HttpRequest

from registry.models import Counter
from registry.problems import refused

#: Items in a page where none is asked for, and the most that may be asked for.
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

PAGING = ("limit", "cursor")

_TRUTH = BooleanField()


def query(request: HttpRequest, allowed: Iterable[str]) -> dict[str, str]:
    """The query's parameters, each at most once and none unknown."""
    known = {*allowed}
    for field, values in request.GET.lists():
        if field not in known:
            raise refused(field, f"is no parameter here; known are {', '.join(sorted(known)) or 'none'}")
        if len(values) > 1:
            raise refused(field, "is given more than once")
        if "\x00" in values[0]:
            raise refused(field, "has a NUL character")
    return {field: value for field, value in request.GET.items() if isinstance(value, str)}


def whole(parameters: Mapping[str, str], field: str, default: int, most: int, least: int = 0) -> int:
    """A whole number among the parameters."""
    text = parameters.get(field)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise refused(field, f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def moment(parameters: Mapping[str, str], field: str) -> datetime:
    """A moment among the parameters: RFC 3339 with its zone."""
    text = parameters[field].replace(" ", "+")  # an unescaped "+" of a zone arrives as a blank
    try:
        value = msgspec.convert(text, datetime)
    except (msgspec.ValidationError, OverflowError):
        value = None
    if value is None or value.tzinfo is None:
        raise refused(field, f"{text!r} is no moment as 2030-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise refused(field, f"{text!r} lies outside of all calendars") from None


def choice(parameters: Mapping[str, str], field: str, choices: Sequence[str]) -> str | None:
    """One of some words among the parameters."""
    value = parameters.get(field)
    if value is not None and value not in choices:
        raise refused(field, f"{value!r} is not one of {', '.join(choices)}")
    return value


def encode_cursor(key: Sequence[str | int | datetime]) -> str:
    """A key as opaque text."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(list(key))).decode().rstrip("=")


def decode_cursor(text: str, shape: Sequence[type]) -> list[Any]:
    """The key in a cursor; it must have this shape."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        key = msgspec.msgpack.decode(raw, type=list[Any])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise refused("cursor", "was not made by this list") from None
    if [type(part) for part in key] != list(shape) or any("\x00" in str(part) for part in key):
        raise refused("cursor", "was not made by this list")
    return key


def after(fields: Sequence[str], key: Sequence[Any], *, descending: bool = False) -> Func:
    """Rows that come after a key, in the order of these fields: compared as a row, so that an index in that order is
    entered where the page begins, however many rows share the first field.
    """
    row = _row(F(field) for field in fields)
    comparison = " < " if descending else " > "
    return Func(row, _row(map(Value, key)), template="%(expressions)s", arg_joiner=comparison, output_field=_TRUTH)


def _row(parts: Iterable[Combinable]) -> Func:
    return Func(*parts, template="(%(expressions)s)", output_field=_TRUTH)


def page(
    rows: QuerySet[Any, dict[str, Any]],
    fields: Mapping[str, type],
    parameters: Mapping[str, str],
    item: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    *,
    descending: bool = False,
) -> dict[str, Any]:
    """One page of filtered rows (from `.values()`) as the envelope of every list.

    `fields` are the key, unique together and among the values, with their types.
    """
    limit = whole(parameters, "limit", DEFAULT_LIMIT, MAX_LIMIT, least=1)
    names = list(fields)
    if "cursor" in parameters:
        rows = rows.filter(
            after(names, decode_cursor(parameters["cursor"], list(fields.values())), descending=descending)
        )
    order = [f"-{name}" if descending else name for name in names]
    # The revision is read first: what is shown is at least as new as it says.
    revision = current_revision()
    found: list[dict[str, Any]] = list(rows.order_by(*order)[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    cursor = encode_cursor([found[-1][name] for name in names]) if more else None
    return envelope([item(row) for row in found], cursor, revision)


def envelope(items: list[dict[str, Any]], cursor: str | None, revision: int) -> dict[str, Any]:
    """What every list answers."""
    return {"items": items, "next_cursor": cursor, "revision": revision}


def current_revision() -> int:
    """The revision up to which the read model is complete; 0 before anything was observed."""
    revision = Counter.objects.values_list("revision", flat=True).first()
    return revision or 0
