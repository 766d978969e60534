"""Refusals as values: RFC 9457 problems, and the one place where any exception becomes one.

Law: every answer of the API that is no success is made here. A problem says what, which and why, and what would be
right; its `code` is the short word that scripts compare. What nobody foresaw is logged with its traceback and answered
without it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import redis
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions as drf

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

#: Code -> (status, title, what it means). The API's page of problems is made of this.
CODES: dict[str, tuple[int, str, str]] = {
    "malformed": (400, "Not readable", "The body is not JSON, or the request breaks HTTP."),
    "unauthorized": (401, "Who are you?", "No token or session, or one that is unknown, expired or revoked."),
    "forbidden": (403, "Not allowed", "The token or session lacks the scope, or is bound to other sworms."),
    "not_found": (404, "Not found", "No such path."),
    "unknown_sworm": (404, "Unknown sworm", "No definition has this name."),
    "unknown_process": (404, "Unknown process", "No process has this name."),
    "unknown_node": (404, "Unknown node", "No node has this name."),
    "unknown_operation": (404, "Unknown operation", "No operation has this id."),
    "unknown_revision": (404, "Unknown revision", "The definition was never at this revision, or was deleted at it."),
    "unknown_snapshot": (404, "Unknown snapshot", "No snapshot of a replica has this id."),
    "unknown_token": (404, "Unknown token", "No token has this id."),
    "method_not_allowed": (405, "Method not allowed", "The path exists, but not for this method."),
    "already_started": (409, "Already started", "The name runs already; `process` is the one that does."),
    "already_exists": (409, "Already exists", "A definition of this name exists."),
    "has_processes": (409, "Still has processes", "A sworm with processes cannot be deleted."),
    "not_ended": (409, "Not over yet", "Only a node that left or died can be forgotten."),
    "ended": (409, "Already over", "The operation has ended and cannot be cancelled."),
    "in_progress": (
        409,
        "Under way already",
        "The first request with this Idempotency-Key is not answered yet, or such an operation has not ended.",
    ),
    "compacted": (410, "No longer kept", "What is asked for lies before the history that is kept."),
    "precondition_failed": (412, "Changed meanwhile", "If-Match names another revision than the present one."),
    "too_large": (413, "Too large", "The body is larger than this path takes."),
    "unsupported_media_type": (415, "Not JSON", "The body must be application/json."),
    "invalid": (422, "Refused", "A field is missing, of the wrong type, or refused; `errors` says which."),
    "idempotency_mismatch": (422, "Another request", "The Idempotency-Key was used with another body or path."),
    "target_not_allowed": (422, "Target not allowed", "Neither sworm nor agent lets this module run."),
    "target_not_found": (422, "Target not found", "The module or the identifier in it does not exist."),
    "start_failed": (422, "Start failed", "The worker's own start failed; `detail` is its error."),
    "precondition_required": (428, "If-Match needed", "A change must name the revision that it changes."),
    "internal": (500, "Our mistake", "The server failed; its log has the traceback."),
    "worker_crashed": (502, "Worker crashed", "The worker raised while it handled the message."),
    "not_json": (502, "Reply is not JSON", "The worker's reply holds bytes or a number that JSON lacks."),
    "refused": (502, "Refused by the agent", "The agent refused the command; `detail` is its reason."),
    "database_unavailable": (503, "Database unavailable", "PostgreSQL does not answer; agents go on meanwhile."),
    "broker_unavailable": (503, "Broker unavailable", "The broker does not answer; agents go on meanwhile."),
    "no_node": (503, "No node", "No live node hosts this sworm, or may take the process."),
    "strategy_failed": (
        503,
        "Strategy failed",
        "The sworm's own strategy raised, was late, or chose no such node.",
    ),
    "no_quorum": (503, "No quorum", "The nodes that are up are not a majority of the last agreed ones."),
    "no_answer": (504, "No answer", "No answer came in time; whether it happened is told by GET."),
    "call_timeout": (504, "Call timed out", "The worker did not reply in time; it may still handle the message."),
}


class Problem(Exception):
    """A refusal with its code. `errors` are (field, sentence) pairs; `members` are further members of the answer."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.status, self.title, meaning = CODES[code]
        self.detail = detail or meaning
        self.errors = dict(errors or {})
        self.members = dict(members or {})
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {self.detail}")

    def as_dict(self) -> dict[str, Any]:
        """The members of the answer."""
        return {
            "type": f"/api/docs#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": [{"field": field, "detail": sentence} for field, sentence in self.errors.items()],
            **self.members,
        }

    def response(self) -> HttpResponse:
        """The HTTP answer."""
        body = msgspec.json.encode(self.as_dict())
        return HttpResponse(body, status=self.status, content_type=CONTENT_TYPE, headers=self.headers)


def refused(field: str, sentence: str, code: str = "invalid") -> Problem:
    """A problem about one field."""
    return Problem(code, f"{field}: {sentence}", errors={field: sentence})


def problem_of(error: BaseException) -> Problem:
    """Any exception as a problem; one that nobody foresaw is logged."""
    known = error if isinstance(error, Problem) else _of_http(error) or _of_services(error)
    if known is None:
        logger.error("request failed", exc_info=error)
        known = Problem("internal")
    return known


def _of_http(error: BaseException) -> Problem | None:
    if isinstance(error, drf.MethodNotAllowed):
        return Problem("method_not_allowed", str(error.detail))
    if isinstance(error, drf.AuthenticationFailed | drf.NotAuthenticated):
        return unauthorized(str(error.detail))
    if isinstance(error, drf.PermissionDenied | PermissionDenied):
        return Problem("forbidden", str(error))
    if isinstance(error, drf.NotFound | Http404):
        return Problem("not_found")
    if isinstance(error, RequestDataTooBig):
        return Problem("too_large")
    if isinstance(error, drf.ParseError | SuspiciousOperation):
        return Problem("malformed", str(error))
    return None


def _of_services(error: BaseException) -> Problem | None:
    if isinstance(error, OperationalError | InterfaceError):
        logger.warning("the database is unavailable: %s", error)
        return Problem("database_unavailable")
    if isinstance(error, redis.RedisError):
        logger.warning("the broker is unavailable: %s", error)
        return Problem("broker_unavailable")
    return None


@contextmanager
def done_already(what: str) -> Iterator[None]:
    """What follows tells of something that was done: a database that fails meanwhile makes it uncertain, not undone."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        logger.warning("the database is unavailable: %s", error)
        raise Problem("no_answer", f"{what}, but the database went away before it could be shown; GET tells") from error


def unauthorized(detail: str = "") -> Problem:
    """401, with the header that RFC 9110 asks for."""
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="sworm"'})
