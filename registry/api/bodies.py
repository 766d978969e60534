"""Bodies and queries as typed values: read strictly, refused with the field's name.

Law: what is not declared is refused, never ignored. 400 means the body could not be read, 422 that it could, but a
field is missing, of the wrong type or out of bounds.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from django.http import HttpRequest
from msgspec import Meta

from registry.core.ids import MAX_NAME
from registry.problems import Problem

#: Largest body, in bytes, where nothing else is said.
MAX_BODY = 1024 * 1024

Text = Annotated[str, Meta(max_length=1000, pattern=r"\A[^\x00]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON object with exactly these members."""


class Mutation(Body, kw_only=True):
    """The body of anything that changes something."""

    reason: Annotated[Text, Meta(description="Why; kept in the audit. The header `Sworm-Reason` does the same.")] = ""


AnyBody = TypeVar("AnyBody", bound=msgspec.Struct)

_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

_AT = re.compile(r"(?P<sentence>.*) - at `(?P<path>.*)`\Z", re.DOTALL)
_MISSING = "is missing"
_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<field>[^`]*)`")


def read(request: HttpRequest, kind: type[AnyBody], *, limit: int = MAX_BODY, optional: bool = False) -> AnyBody:
    """The request's body as `kind`. `optional`: an empty body stands for an empty object."""
    raw = _raw(request, limit)
    if not raw:
        if not optional:
            raise Problem("malformed", "the body is empty; it must be a JSON object")
        raw = b"{}"
    elif request.content_type != "application/json":
        raise Problem(
            "unsupported_media_type", f"the body must be application/json, not {request.content_type or 'unnamed'}"
        )
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        # A value is refused as soon as it is read; what comes after it may be no JSON at all.
        raise refusal(error, _decoded(raw), kind) from None
    except _UNREADABLE as error:
        raise unreadable(error) from None


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except _UNREADABLE as error:
        raise unreadable(error) from None


def unreadable(error: Exception) -> Problem:
    """The problem of a body that is not JSON."""
    return Problem("malformed", f"the body is not JSON: {error}")


def convert(value: Any, kind: type[AnyBody]) -> AnyBody:
    """An already decoded JSON value as `kind`; raises the same problem as `read`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise refusal(error, value, kind) from None


def refusal(first: msgspec.ValidationError, value: Any, kind: type[msgspec.Struct]) -> Problem:
    """A problem that names every field that is wrong. msgspec tells of the first alone: the others are asked for."""
    wrong = dict([_named(first)])
    if isinstance(value, dict):
        known = {field.encode_name: field.required for field in msgspec.structs.fields(kind)}
        wrong |= {name: _MISSING for name, required in known.items() if required and name not in value}
        for name in value:
            wrong |= _wrong_by_itself(name, value[name], kind)
    return Problem("invalid", "; ".join(f"{field}: {sentence}" for field, sentence in wrong.items()), errors=wrong)


def _wrong_by_itself(name: str, value: Any, kind: type[msgspec.Struct]) -> dict[str, str]:
    """What is wrong with one member, whichever others there are."""
    try:
        msgspec.convert({name: value}, kind)
    except msgspec.ValidationError as error:
        field, sentence = _named(error)
        if field == name or field.startswith((f"{name}.", f"{name}[")):
            return {field: sentence}
    return {}


def _named(error: msgspec.ValidationError) -> tuple[str, str]:
    """msgspec's sentence, with the field that it is about."""
    match = _AT.match(str(error))
    sentence, path = (match["sentence"], match["path"]) if match else (str(error), "$")
    field = path.removeprefix("$").removeprefix(".")
    named = _FIELD.match(sentence)
    if named:
        field = f"{field}.{named['field']}".removeprefix(".")
        sentence = _MISSING if named["what"].startswith("missing") else "is not a field of this body"
    return field or "body", sentence


def _raw(request: HttpRequest, limit: int) -> bytes:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and int(length) > limit:
        raise Problem("too_large", f"the body has {length} bytes; this path takes {limit}")
    raw = request.body
    if len(raw) > limit:
        raise Problem("too_large", f"the body has {len(raw)} bytes; this path takes {limit}")
    return raw
