"""Process names in paths: any Unicode, slashes too, told apart from the slashes of the path.

Law: Django routes on the decoded path, where `a%2Fcall` and `a/call` are one. So for the API the path that is routed
is the raw one, decoded but for "/" and "%" within a segment; only the `name` converter undoes those two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote, unquote

from django.http import HttpRequest, HttpResponseBase
from django.urls import register_converter
from django.urls.converters import get_converters

from registry.metrics import STARTED
from registry.problems import Problem, problem_of

#: Paths below this are routed raw.
API = "/api/"

_KEPT = str.maketrans({"%": "%25", "/": "%2F"})


def routable(raw: str) -> str:
    """A raw path with its segments decoded, but for "/" and "%" in them. Raises UnicodeDecodeError for bad UTF-8."""
    return "/".join(unquote(segment, errors="strict").translate(_KEPT) for segment in raw.split("/"))


class NameConverter:
    """One segment of the path: a process or group name, which may hold slashes."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """The name itself."""
        return value.replace("%2F", "/").replace("%25", "%")

    def to_url(self, value: str) -> str:
        """The name as a segment of a URL (Django quotes the rest)."""
        return quote(value, safe="")


class SlugConverter:
    """A sworm's or node's name; what cannot be one is left to the view to refuse."""

    regex = "[^/:]+"

    def to_python(self, value: str) -> str:
        """The name itself."""
        return value

    def to_url(self, value: str) -> str:
        """The name itself: it needs no quoting."""
        return value


def register() -> None:
    """Make the converters known to Django; repeatable."""
    known = get_converters()
    for converter, name in ((NameConverter, "name"), (SlugConverter, "sworm"), (SlugConverter, "node")):
        if name not in known:
            register_converter(converter, name)


class ApiMiddleware:
    """Routes the API on the raw path, and answers with a problem whatever fails outside of a view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request."""
        if not request.path_info.startswith(API):
            return self._get_response(request)
        setattr(request, STARTED, time.perf_counter())
        try:
            raw = _raw_path(request)
            if raw is not None:
                request.path_info = routable(raw)
        except UnicodeDecodeError:
            return Problem("malformed", "the path is not UTF-8").response()
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """What a view outside of REST framework raised below /api/."""
        return problem_of(error).response() if request.path_info.startswith(API) else None


def _raw_path(request: HttpRequest) -> str | None:
    """The path as it came over the wire; None where the server does not tell."""
    scope = getattr(request, "scope", {})
    raw: bytes | None = scope.get("raw_path")
    return None if raw is None else raw.split(b"?")[0].decode("latin-1")
