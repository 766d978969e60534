"""How the API describes itself: OpenAPI 3.1, out of the views and the types that they read.

Law: a body's schema is the type by which it is read; an answer's is a type below, which a test holds against real
answers. Nothing about a path is written down twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiParameter, extend_schema

from registry import problems
from registry.api import answers as shapes

View = TypeVar("View", bound=Callable[..., Any])

_REF = "#/components/schemas/{name}"
_JSON = "application/json"

#: Query parameter -> what it does, wherever it stands.
QUERY: dict[str, str] = {
    "limit": "Most items in the answer: 1 to 1000; 100 when not given.",
    "cursor": "`next_cursor` of the page before.",
    "order": "asc (oldest first, the default) or desc.",
    "since": "Only what came after this revision.",
    "sworm": "Only of this sworm.",
    "name": "Only of this process name.",
    "name_prefix": "Only names that begin so.",
    "q": "Only where name, target or pid contains this, in any case.",
    "node": "Only on this node.",
    "state": "Only in this state.",
    "group": "Only members of this group.",
    "kind": "Only of this kind.",
    "at": "The moment, RFC 3339.",
    "left": "Id of a snapshot.",
    "right": "Id of another one of the same sworm.",
    "actor": "Only by this actor, as user:name.",
    "status": "Only in this status.",
    "action": "Only of this action, as process.register.",
    "target": "Only done to this, as rooms/lobby.",
    "door": "Only from this door: rest, page, admin, cli or code.",
    "operation": "Only of this operation.",
    "from": "Only at this moment or later, RFC 3339.",
    "until": "Only before this moment, RFC 3339.",
    "processes": "Most processes among the steps: 0 to 1000; 1000 when not given.",
    "sort": "Field to sort by: sworm (the default), name, node, state, restarts, epoch or started_at.",
}

#: What any path may answer besides.
ALWAYS = ("unauthorized", "forbidden", "malformed", "invalid", "database_unavailable")
#: What any path with a body may, and any POST (for its `Idempotency-Key`).
WITH_BODY = ("too_large", "unsupported_media_type")
WITH_KEY = ("in_progress", "idempotency_mismatch")
#: Part of a path -> what it may be found not to be.
IN_PATH = {"sworm": "unknown_sworm", "node": "unknown_node"}

#: Parameters that are more than text.
_MOMENT = {"type": "string", "format": "date-time"}
_TYPES: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    "since": {"type": "integer", "minimum": 0},
    "order": {"type": "string", "enum": ["asc", "desc"]},
    "at": _MOMENT,
    "from": _MOMENT,
    "until": _MOMENT,
    "Idempotency-Key": {"type": "string", "minLength": 1, "maxLength": 255},
    "Sworm-Reason": {"type": "string", "maxLength": 1000},
}

_PATH = {
    "sworm": "Name of a sworm.",
    "name": "Name of a process, percent-encoded, slashes too.",
    "group": "Name of a group, percent-encoded, slashes too.",
    "node": "Name of a node.",
}
_HEADERS = {
    "If-Match": "ETag of what is changed.",
    "Idempotency-Key": "Repeated with the same body, the request gets the first one's answer.",
    "Sworm-Reason": "Why; kept in the audit. The body's `reason` does the same.",
}

_bodies: set[type[msgspec.Struct]] = set()


def documented(
    summary: str,
    *,
    body: type[msgspec.Struct] | None = None,
    answers: Mapping[int, str | None] | None = None,
    items: str | None = None,
    query: Sequence[str] = (),
    choices: Mapping[str, Sequence[str]] | None = None,
    problems: Sequence[str] = (),
    if_match: bool = False,
    stream: str = "",
) -> Callable[[View], View]:
    """Describe one method of a view.

    `answers` are names of types in `registry.api.answers` by status; `items` is the type of a list's items; `choices`
    are the words that a query parameter may be; `stream` is the content type of an answer that does not end.
    """
    if body is not None:
        _bodies.add(body)
    told: dict[Any, Any] = {200: _list_of(items)} if items else {}
    if stream:
        told[(200, stream)] = {"type": "string"}
    told.update({status: name and _ref(name) for status, name in (answers or {}).items()})

    def describe(method: View) -> View:
        decorate: Callable[[View], View] = extend_schema(
            operation_id="".join(reversed(method.__qualname__.split("."))),
            summary=summary,
            description=inspect.getdoc(method) or "",
            parameters=_parameters(method, query, choices or {}, if_match),
            request={_JSON: _ref(body.__name__)} if body is not None else None,
            responses=_responses(told, [*problems, *_implied(method, body is not None)]),
        )
        return decorate(method)

    return describe


@cache
def document() -> dict[str, Any]:
    """The whole document, made once a process."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    made["openapi"] = "3.1.0"
    made["info"] = {
        "title": "Sworm",
        "version": "1",
        "description": "Named, supervised, stateful processes across a cluster. Times are RFC 3339 in UTC.",
    }
    components = made.setdefault("components", {})
    components["schemas"] = _schemas()
    return made


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Bearer tokens, for the document."""

    target_class = "registry.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """As OpenAPI says it."""
        return {"type": "http", "scheme": "bearer", "description": "`./sworm token create` prints one."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The session of the pages, for the document."""

    target_class = "registry.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """As OpenAPI says it."""
        return {"type": "apiKey", "in": "cookie", "name": "sworm_session", "description": "With X-CSRFToken."}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def _list_of(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next_cursor", "revision"],
        "properties": {
            "items": {"type": "array", "items": _ref(name)},
            "next_cursor": {"type": ["string", "null"]},
            "revision": {"type": "integer"},
        },
    }


def _parameters(
    method: Callable[..., Any], query: Iterable[str], choices: Mapping[str, Sequence[str]], if_match: bool
) -> list[OpenApiParameter]:
    places = [name for name in inspect.signature(method).parameters if name not in ("self", "request")]
    found = [
        OpenApiParameter(name, str, OpenApiParameter.PATH, description=_PATH.get(name, ""), required=True)
        for name in places
    ]
    for name in query:
        kind = {"type": "string", "enum": [*choices[name]]} if name in choices else _TYPES.get(name, str)
        found.append(OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=QUERY[name]))
    headers = ["If-Match"] if if_match else []
    if method.__name__ == "post":
        headers.append("Idempotency-Key")
    if method.__name__ != "get":
        headers.append("Sworm-Reason")
    for name in headers:
        required = name == "If-Match"
        found.append(
            OpenApiParameter(
                name, _TYPES.get(name, str), OpenApiParameter.HEADER, description=_HEADERS[name], required=required
            )
        )
    return found


def _implied(method: Callable[..., Any], body: bool) -> list[str]:
    """The problems that follow from what a method takes."""
    parts = inspect.signature(method).parameters
    return [
        *(code for part, code in IN_PATH.items() if part in parts),
        *(WITH_BODY if body else ()),
        *(WITH_KEY if method.__name__ == "post" else ()),
    ]


def _responses(told: Mapping[Any, Any], codes: Sequence[str]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for status, shape in told.items():
        found[status if shape is None or isinstance(status, tuple) else (status, _JSON)] = shape
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys((*codes, *ALWAYS)):
        by_status.setdefault(problems.CODES[code][0], []).append(code)
    for status, several in sorted(by_status.items()):
        shape = {"allOf": [_ref("Problem")], "description": "code: " + ", ".join(several)}
        found[(status, problems.CONTENT_TYPE)] = shape
    return found


def _schemas() -> dict[str, Any]:
    types = [*shapes.ALL, *sorted(_bodies, key=lambda kind: kind.__name__)]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    return components
