"""/tokens: who else may.

Law: nobody hands out more than they have: a new token's scopes are among one's own. Its text is in one answer only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from msgspec import Meta
from rest_framework.request import Request

from registry.api.bodies import Mutation, read
from registry.api.endpoint import Endpoint, empty, json
from registry.api.paging import PAGING, page, query
from registry.api.schema import documented
from registry.auth import issue_token, told
from registry.core.ids import SLUG
from registry.models import ApiToken, Sworm
from registry.problems import Problem, refused
from registry.scopes import ALL, TOKEN_ADMIN

FIELDS = (
    "id", "name", "prefix", "scopes", "sworms", "created_at", "created_by", "expires_at", "revoked_at", "last_used",
)  # fmt: skip


class NewToken(Mutation, kw_only=True):
    """A token to make."""

    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\A[^\x00]*\Z")]
    scopes: Annotated[list[str], Meta(min_length=1)]
    sworms: list[str] = []
    expires_at: datetime | None = None


class Tokens(Endpoint):
    """All tokens, revoked ones too."""

    scopes = {"GET": TOKEN_ADMIN, "POST": TOKEN_ADMIN}

    @documented("List tokens", items="Token", query=PAGING)
    def get(self, request: Request) -> HttpResponse:
        """One page, the oldest first."""
        self.require_unbound()
        return json(page(ApiToken.objects.order_by().values(*FIELDS), {"id": int}, query(request, PAGING)))

    @documented("Create a token", body=NewToken, answers={201: "Token"}, problems=["invalid"])
    def post(self, request: Request) -> HttpResponse:
        """Make a token; its text is in this answer and nowhere else."""
        self.require_unbound()
        body = read(request, NewToken)
        self._check(body)
        actor = self.principal.actor
        text, row = issue_token(
            body.name, body.scopes, sworms=body.sworms, expires_at=body.expires_at, created_by=actor
        )
        self.audit("token.create", body.name, self.reason(body), after=told(row), id=row.pk)
        headers = {"Location": f"/api/v1/tokens/{row.pk}", "Cache_Control": "no-store"}
        advice = _advice(body.sworms)
        answer = json({**_item(row), "token": text, **({"advice": advice} if advice else {})}, 201, **headers)
        # Shown once: who repeats the request learns that it was made, and the text stands in no row.
        answer.repeatable = json(_item(row)).content  # type: ignore[attr-defined]
        return answer

    def _check(self, body: NewToken) -> None:
        for scope in body.scopes:
            if scope not in ALL:
                raise refused("scopes", f"{scope!r} is not one of {', '.join(sorted(ALL))}")
            if not self.principal.may(scope):
                raise Problem("forbidden", f"you do not have the scope {scope} yourself")
            reach = self.principal.reach(scope)
            if reach is not None and not (body.sworms and reach.issuperset(body.sworms)):
                raise Problem("forbidden", f"you have the scope {scope} on {', '.join(sorted(reach))} only")
        for sworm in body.sworms:
            if not SLUG.match(sworm):
                raise refused("sworms", f"no sworm can be named {sworm!r}")
        if body.expires_at is not None:
            if body.expires_at.tzinfo is None:
                raise refused("expires_at", "needs a time zone, as 2030-01-31T12:00:00Z")
            if body.expires_at <= timezone.now():
                raise refused("expires_at", "is in the past")


class OneToken(Endpoint):
    """One token."""

    scopes = {"GET": TOKEN_ADMIN, "DELETE": TOKEN_ADMIN}

    @documented("Read a token", answers={200: "Token"}, problems=["unknown_token"])
    def get(self, request: Request, id: int) -> HttpResponse:  # noqa: A002 - as the path names it
        """Read it; not its text."""
        self.require_unbound()
        query(request, ())
        return json(_item(_found(id).get()))

    @documented("Revoke a token", body=Mutation, answers={204: None}, problems=["unknown_token"])
    def delete(self, request: Request, id: int) -> HttpResponse:  # noqa: A002 - as the path names it
        """It works no more; its row stays, for the audit."""
        self.require_unbound()
        rows = _found(id)
        body = read(request, Mutation, optional=True)
        if rows.filter(revoked_at__isnull=True).update(revoked_at=timezone.now()):
            row = rows.get()
            self.audit("token.revoke", row.name, self.reason(body), before=told(row), id=id)
        return empty()


def _found(number: int) -> QuerySet[ApiToken]:
    rows = ApiToken.objects.filter(pk=number)
    if number >= 2**63 or not rows.exists():
        raise Problem("unknown_token", f"no token has the id {number}")
    return rows


def _advice(sworms: list[str]) -> list[dict[str, str]]:
    """What to know of sworms that a token names and nobody has defined."""
    known = {*Sworm.objects.filter(name__in=sworms, deleted=False).values_list("name", flat=True)}
    sentence = "no definition is named {!r} yet; the token reaches it once there is one"
    return [{"field": "sworms", "level": "note", "text": sentence.format(name)} for name in sorted({*sworms} - known)]


def _item(row: ApiToken) -> dict[str, Any]:
    return {field: getattr(row, field) for field in FIELDS}
