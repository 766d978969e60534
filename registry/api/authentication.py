"""The two ways to ask: a bearer token, or a session with its CSRF token.

Law: an `Authorization` header decides alone; a bad one is never mended by a good session. What comes out is
`request.auth`, a `Principal`.
"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from registry.auth import NotValid, Principal, principal_of_token, principal_of_user
from registry.problems import Problem, unauthorized

SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer swm_…`."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Principal] | None:
        """The token's principal; None without the header."""
        header: str = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise unauthorized("the Authorization header must be: Bearer swm_…")
        try:
            return AnonymousUser(), principal_of_token(text.strip())
        except NotValid as error:
            raise unauthorized(str(error)) from None


class SessionAuthentication(BaseAuthentication):
    """The session of the pages. Whatever is not a mere reading needs the CSRF token too."""

    def authenticate(self, request: Request) -> tuple[object, Principal] | None:
        """The signed-in user's principal; None when nobody is signed in."""
        plain: HttpRequest = request._request  # noqa: SLF001 - the way REST framework's own classes go
        user = getattr(plain, "user", None)
        principal = None if user is None else principal_of_user(user)
        if principal is None:
            return None
        if plain.method not in SAFE:
            _enforce_csrf(plain)
        return user, principal


def _enforce_csrf(request: HttpRequest) -> None:
    check = CSRFCheck(lambda request: None)  # type: ignore[arg-type]
    check.process_request(request)
    reason = check.process_view(request, _enforce_csrf, (), {})  # type: ignore[arg-type]
    if reason:
        raise Problem("forbidden", f"CSRF: {reason}")
