"""`Idempotency-Key`: a POST that is repeated gets the answer of the first.

Law: the row's unique key decides who is first, in a transaction of its own. An answer is stored once it is certain
(below 500); after an error of ours the key is free again, so that a retry runs. Keys belong to who asks and are kept
for a day.
"""

from __future__ import annotations

import hashlib
import logging
import time
from datetime import timedelta

from django.db import DatabaseError, IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone

from registry.models import IdempotencyKey
from registry.problems import Problem, refused

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(days=1)
#: After this long without an answer the first request is taken for lost: its server died.
LOST_AFTER = timedelta(minutes=2)
MAX_KEY = 255
#: Seconds between two sweeps of old keys in one process.
SWEEP_EVERY = 600.0

_swept_at = [0.0]


class Answered(Exception):
    """The request was answered before; `response` is that answer."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        super().__init__("answered before")


def begin(request: HttpRequest, actor: str) -> IdempotencyKey | None:
    """Take the key that the request names; None when it names none. Raises `Answered`, or a problem."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST":
        return None
    if not 0 < len(key) <= MAX_KEY:
        raise refused(HEADER, f"must have 1 to {MAX_KEY} characters")
    _sweep()
    digest = _hash(request)
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(actor=actor, key=key, request_hash=digest)
    except IntegrityError:
        return _taken(actor, key, digest)


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
        status=response.status_code, content_type=response.headers.get("Content-Type", ""), body=response.content
    )


def claim_of(actor: str, key: str) -> str:
    """The id under which agents know the wish of a request: the same for each repetition of it."""
    return hashlib.sha256(f"{actor}\x00{key}".encode()).hexdigest()[:32]


def _taken(actor: str, key: str, digest: str) -> IdempotencyKey | None:
    row = IdempotencyKey.objects.filter(actor=actor, key=key).first()
    if row is None:
        raise Problem("in_progress")
    if row.request_hash != digest:
        raise Problem("idempotency_mismatch")
    if row.status is not None:
        answer = HttpResponse(bytes(row.body), status=row.status, content_type=row.content_type)
        answer.headers["Idempotent-Replay"] = "true"
        raise Answered(answer)
    now = timezone.now()
    lost = IdempotencyKey.objects.filter(pk=row.pk, status=None, created_at__lt=now - LOST_AFTER)
    if lost.update(created_at=now) != 1:
        raise Problem("in_progress")
    return row


def _hash(request: HttpRequest) -> str:
    parts = (str(request.method), request.get_full_path(), request.content_type or "")
    digest = hashlib.sha256("\x00".join(parts).encode() + b"\x00")
    digest.update(request.body)
    return digest.hexdigest()


def _sweep() -> None:
    now = time.monotonic()
    if now - _swept_at[0] < SWEEP_EVERY:
        return
    _swept_at[0] = now
    IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
