"""The base of every REST view: rights first, then the rest; typed bodies in, JSON out, problems for whatever fails.

Law: no or a bad token is 401, not enough is 403, both before path values, query or body are looked at. A view states
for each method the scope that it needs; one that states none is open to any principal.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, ClassVar

import msgspec
from django.db import DatabaseError
from django.http import HttpResponse, HttpResponseBase
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from registry.api import idempotency
from registry.api.authentication import SAFE, SessionAuthentication, TokenAuthentication
from registry.api.bodies import Mutation
from registry.audit import audit
from registry.auth import Principal
from registry.core.ids import SLUG
from registry.metrics import observe_request
from registry.models import IdempotencyKey
from registry.problems import Problem, problem_of, refused, unauthorized
from registry.scopes import READ

#: Longest reason, in characters.
MAX_REASON = 1000
#: Answers after which nobody knows whether something was done.
UNCERTAIN = (500, 502, 504)

logger = logging.getLogger(__name__)


class JsonOnly(BaseContentNegotiation):
    """There is one representation; `Accept` cannot choose another."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Bodies are read by `registry.api.bodies`."""
        return None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> tuple[BaseRenderer, str]:
        """JSON."""
        return renderers[0], "application/json"


def json(value: Any, status: int = 200, **headers: str) -> HttpResponse:
    """A JSON answer. Header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return HttpResponse(msgspec.json.encode(value), status=status, content_type="application/json", headers=named)


def empty(status: int = 204) -> HttpResponse:
    """An answer without a body."""
    answer = HttpResponse(status=status)
    del answer["Content-Type"]  # Django names one in any case
    return answer


def _header_reason(request: Request) -> str:
    """The header's word, which may be UTF-8 although HTTP would have it otherwise; 422 when it cannot be kept."""
    text: str = request.headers.get("Sworm-Reason", "")
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()
    if len(text) > MAX_REASON:
        raise refused("Sworm-Reason", f"has {len(text)} characters; at most {MAX_REASON} are allowed")
    if "\x00" in text:
        raise refused("Sworm-Reason", "has a NUL character")
    return text


class Endpoint(APIView):
    """One path of the API."""

    #: Method -> the scope that it needs.
    scopes: ClassVar[dict[str, str]] = {}

    authentication_classes = (TokenAuthentication, SessionAuthentication)
    content_negotiation_class = JsonOnly
    renderer_classes = (JSONRenderer,)
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    _idempotency: IdempotencyKey | None = None
    _audited = False
    _header_reason = ""

    @property
    def principal(self) -> Principal:
        """Who asks."""
        principal: Any = self.request.auth
        assert isinstance(principal, Principal)
        return principal

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Rights, then whether the request was answered before."""
        super().initial(request, *args, **kwargs)
        for kind in ("sworm", "node"):
            if kind in self.kwargs and not SLUG.match(self.kwargs[kind]):
                raise Problem(f"unknown_{kind}", f"no {kind} can be named {self.kwargs[kind]!r}")
        if request.method not in SAFE:
            self._header_reason = _header_reason(request)  # before anything is done, not when it is written down
        if request.method in self.allowed_methods:
            self._idempotency = idempotency.begin(request, self.principal.key)

    def perform_authentication(self, request: Request) -> None:
        """401 without a principal."""
        if request.auth is None:
            raise unauthorized()

    def check_permissions(self, request: Request) -> None:
        """403 without the scope, or for a sworm that the token is not bound to."""
        method = "GET" if request.method == "HEAD" else str(request.method)
        scope = self.scopes.get(method)
        if scope is not None and not self.principal.may(scope):
            raise Problem("forbidden", f"this needs the scope {scope}")
        sworm = self.kwargs.get("sworm")
        if sworm is not None:
            self.require_sworm(sworm)

    @property
    def _scope(self) -> str:
        """The scope that this request needs."""
        return self.scopes.get("GET" if self.request.method == "HEAD" else str(self.request.method), READ)

    def require_sworm(self, sworm: str, scope: str | None = None) -> None:
        """403 when the scope (the method's, unless given) is bound to other sworms."""
        if not self.principal.may_touch(sworm, scope or self._scope):
            raise Problem("forbidden", f"the scope {scope or self._scope} is bound to other sworms than {sworm!r} here")

    def require_unbound(self, scope: str | None = None) -> None:
        """403 when the scope is bound to some sworms: what is asked for touches all."""
        if self.principal.reach(scope or self._scope) is not None:
            raise Problem("forbidden", f"the scope {scope or self._scope} is bound to some sworms; this touches all")

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        """Whatever was raised, as an answer."""
        if isinstance(exc, idempotency.Answered):
            return exc.response
        return problem_of(exc).response()

    def finalize_response(  # type: ignore[override]
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Keep the answer for repetitions, and count it."""
        self._audit_uncertain(request, response)
        if self._idempotency is not None:
            idempotency.finish(self._idempotency, response)
        if response.status_code == 405:
            response.headers["Allow"] = ", ".join(self.allowed_methods)
        observe_request(request, response)
        return response

    def reason(self, body: Mutation | None = None) -> str:
        """Why this is done: the body's word, else the header's."""
        if body is not None and body.reason:
            return body.reason
        return self._header_reason

    def audit(self, action: str, what: str, reason: str, /, **detail: Any) -> None:
        """Write the audit row of what was just done."""
        self._audited = True
        audit(self.principal.actor, action, what, reason, **detail)

    def _audit_uncertain(self, request: Request, response: HttpResponseBase) -> None:
        """What may have been done although it was answered by an error has its row too: its answer stands in it."""
        if self._audited or request.method in SAFE or response.status_code not in UNCERTAIN:
            return
        what, reason = request.path.removeprefix("/api/v1/"), self._header_reason
        try:
            self.audit(
                "request.uncertain", what, reason, sworm=self.kwargs.get("sworm", ""),
                method=request.method, answered=response.status_code,
            )  # fmt: skip
        except DatabaseError as error:
            logger.warning("%s %s has no audit row: %s", request.method, request.path, error)


class UnknownPath(Endpoint):
    """Whatever no other path matches: 401 for strangers, 404 for the rest."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """404 for any method."""
        super().initial(request, *args, **kwargs)
        raise Problem("not_found", f"{request.path} is no path of this API; /api/docs lists them")
