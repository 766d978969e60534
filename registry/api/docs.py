"""/api/v1/openapi.json and /api/docs: the API's document, and a page to read it that needs nothing else.

Law: the page is made from the document alone, on the server, without a script; both are open to anyone who can reach
us.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from registry import problems, scopes
from registry.api.schema import document

_METHODS = ("get", "post", "put", "patch", "delete")


def openapi(request: HttpRequest) -> HttpResponse:
    """The OpenAPI 3.1 document."""
    return HttpResponse(msgspec.json.encode(document()), content_type="application/json")


def docs(request: HttpRequest) -> HttpResponse:
    """The page."""
    made = document()
    context = {
        "info": made["info"],
        "paths": list(_paths(made)),
        "schemas": sorted(_schemas(made)),
        "problems": [(code, *values) for code, values in problems.CODES.items()],
        "scopes": scopes.SCOPES.items(),
    }
    return render(request, "registry/docs.html", context)


def _paths(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in made["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield _operation(path, method, methods[method])


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        "anchor": f"{method}-{path.strip('/').replace('/', '-')}",
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "text": operation.get("description", ""),
        "parameters": operation.get("parameters", []),
        "body": _type(content.get("schema", {})),
        "answers": [_answer(status, answer) for status, answer in operation["responses"].items()],
    }


def _answer(status: str, answer: dict[str, Any]) -> dict[str, str]:
    for media in answer.get("content", {}).values():
        schema = media["schema"]
        return {"status": status, "type": _type(schema), "text": schema.get("description", "")}
    return {"status": status, "type": "", "text": "no body"}


def _schemas(made: dict[str, Any]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    for name, schema in made["components"]["schemas"].items():
        required = schema.get("required", [])
        fields = [
            {"name": field, "type": _type(value), "required": field in required, "default": _default(value)}
            for field, value in schema.get("properties", {}).items()
        ]
        yield name, schema.get("description", ""), fields


def _default(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema["default"]).decode() if "default" in schema else ""


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several, joint in (("anyOf", " or "), ("allOf", " and ")):
        if several in schema:
            return joint.join(_type(one) for one in schema[several])
    if "enum" in schema:
        return " or ".join(msgspec.json.encode(value).decode() for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "items" in schema.get("properties", {}):
        return f"page of {_type(schema['properties']['items']['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
