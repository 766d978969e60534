"""`Idempotency-Key`: a POST that is repeated gets the answer of the first.

Law: the row's unique key decides who is first, in a transaction of its own. An answer is stored once it is certain
(below 500); after an error of ours the key is free again, so that a retry runs. Keys belong to who asks and are kept
for a day (`registry.retention`). An answer that must not be stored (`Cache-Control: no-store`: a new token) is repeated
without what made it secret.
"""

from __future__ import annotations

import hashlib
import logging
import time
from datetime import timedelta

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone

from registry.models import IdempotencyKey
from registry.problems import Problem, refused

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
#: After this long without an answer the first request is taken for lost: its server died.
LOST_AFTER = timedelta(minutes=2)
MAX_KEY = 255
#: Seconds that a twin waits for the first one's answer, and between two looks for it.
WAIT = 10.0
LOOK = 0.05
#: Headers that belong to an answer.
REPEATED = ("ETag", "Location", "Cache-Control", "WWW-Authenticate")


class Answered(Exception):
    """The request was answered before; `response` is that answer."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        super().__init__("answered before")


def begin(request: HttpRequest, who: str) -> IdempotencyKey | None:
    """Take the key that the request names; None when it names none. Raises `Answered`, or a problem.

    A twin that comes while the first is being answered waits for that answer, and runs itself when there is none.
    """
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST":
        return None
    if not 0 < len(key) <= MAX_KEY or "\x00" in key:
        raise refused(HEADER, f"must have 1 to {MAX_KEY} characters")
    digest = _hash(request)
    until = time.monotonic() + WAIT
    while (row := _take(who, key, digest)) is None:
        if time.monotonic() >= until:
            raise Problem("in_progress")
        connection.close()  # back to the pool: whoever waits needs none
        time.sleep(LOOK)
    return row


def _take(who: str, key: str, digest: str) -> IdempotencyKey | None:
    """The row, if it is ours to answer; None while somebody else does."""
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(actor=who, key=key, request_hash=digest)
    except IntegrityError:
        return _taken(who, key, digest)


def finish(row: IdempotencyKey, response: HttpResponseBase) -> None:
    """Keep the answer for those who repeat the request, or free the key when there is no certain one."""
    try:
        _keep(row, response)
    except DatabaseError as error:
        logger.warning("the answer to an Idempotency-Key was not kept: %s", error)


def _keep(row: IdempotencyKey, response: HttpResponseBase) -> None:
    if response.status_code >= 500 or not isinstance(response, HttpResponse):
        IdempotencyKey.objects.filter(pk=row.pk).delete()
        return
    IdempotencyKey.objects.filter(pk=row.pk).update(
        status=response.status_code,
        content_type=response.headers.get("Content-Type", ""),
        headers={name: response.headers[name] for name in REPEATED if name in response.headers},
        body=getattr(response, "repeatable", response.content),
    )


def claim_of(actor: str, key: str) -> str:
    """The id under which agents know the wish of a request: the same for each repetition of it."""
    return hashlib.sha256(f"{actor}\x00{key}".encode()).hexdigest()[:32]


def _taken(actor: str, key: str, digest: str) -> IdempotencyKey | None:
    row = IdempotencyKey.objects.filter(actor=actor, key=key).first()
    if row is None:
        return None  # the first one ended without an answer just now
    if row.request_hash != digest:
        raise Problem("idempotency_mismatch")
    if row.status is not None:
        answer = HttpResponse(
            bytes(row.body), status=row.status, content_type=row.content_type or None, headers=row.headers
        )
        if not row.content_type:
            del answer.headers["Content-Type"]
        answer.headers["Idempotent-Replay"] = "true"
        raise Answered(answer)
    now = timezone.now()
    lost = IdempotencyKey.objects.filter(pk=row.pk, status=None, created_at__lt=now - LOST_AFTER)
    return row if lost.update(created_at=now) == 1 else None


def _hash(request: HttpRequest) -> str:
    parts = (str(request.method), request.get_full_path(), request.content_type or "")
    digest = hashlib.sha256("\x00".join(parts).encode() + b"\x00")
    digest.update(request.body)
    return digest.hexdigest()
