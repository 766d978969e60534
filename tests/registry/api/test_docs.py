"""/api/v1/openapi.json and /api/docs describe what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from registry import problems
from registry.api.endpoint import Endpoint, UnknownPath
from registry.api.schema import QUERY, document

pytestmark = pytest.mark.django_db


def endpoints() -> Iterator[tuple[str, type[Endpoint]]]:
    for pattern in get_resolver().url_patterns:
        for inner in getattr(pattern, "url_patterns", []):
            view = getattr(inner.callback, "view_class", None)
            if str(pattern.pattern).startswith("api/") and view is not None and view is not UnknownPath:
                yield "/" + str(pattern.pattern) + re.sub(r"<\w+:(\w+)>", r"{\1}", str(inner.pattern)), view


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def test_every_method_of_every_path_is_described() -> None:
    described = {(path, method) for path, methods in document()["paths"].items() for method in methods}
    there = {
        (path, method)
        for path, view in endpoints()
        for method in ("get", "post", "put", "patch", "delete")
        if hasattr(view, method)
    }
    assert described == there
    assert len(there) > 30


def test_the_document_refers_to_nothing_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    document.cache_clear()
    made = document()
    assert capsys.readouterr().err == ""
    schemas = made["components"]["schemas"]
    assert {ref.rpartition("/")[2] for ref in refs(made)} <= set(schemas)
    assert made["openapi"].startswith("3.")
    assert set(made["components"]["securitySchemes"]) == {"token", "session"}


def test_each_operation_says_what_it_needs_and_may_answer() -> None:
    for methods in document()["paths"].values():
        for method, operation in methods.items():
            assert operation["summary"]
            assert {"401", "403", "503"} <= set(operation["responses"])
            headers = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
            assert ("Idempotency-Key" in headers) == (method == "post")
            queries = [parameter for parameter in operation["parameters"] if parameter["in"] == "query"]
            assert all(parameter["description"] == QUERY[parameter["name"]] for parameter in queries)


def test_document_and_page_are_open_and_the_page_needs_no_script() -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == document()
    page = Client().get("/api/docs").content.decode()
    assert "<script" not in page
    for code in problems.CODES:
        assert f'id="{code}"' in page
    for path in document()["paths"]:
        assert path in page
