"""Through which door a request came, and from which address: what the audit says of where somebody was.

Law: an address is what our own side saw. `X-Forwarded-For` counts only as far as our own proxies wrote it (setting
`SWORM_PROXIES`): whatever a client puts in front of that is never believed. One value for each request, in its own
context; outside of a request it is the command line.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

#: Doors.
REST, PAGE, ADMIN, CLI, CODE = DOORS = ("rest", "page", "admin", "cli", "code")

#: What our command line says of itself to REST.
CLI_AGENT = "sworm-cli"

_WHENCE: ContextVar[tuple[str, str] | None] = ContextVar("whence", default=None)


def address_of(request: HttpRequest) -> str:
    """The address of whoever sent a request, as the outermost of our own proxies (or we) saw it."""
    seen: str = request.META.get("REMOTE_ADDR") or ""
    proxies: int = settings.SWORM_PROXIES
    if proxies:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(hops) >= proxies and _is_address(hops[-proxies]):
            seen = hops[-proxies]
    return seen if _is_address(seen) else ""


def throttled_address(request: HttpRequest) -> str | None:
    """The same as the sign-in's throttle stores it: None for none, as over a local socket."""
    return address_of(request) or None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def door_of(request: HttpRequest) -> str:
    """The door of a request, before anybody knows who asks."""
    if request.path_info.startswith("/admin/"):
        return ADMIN
    if not request.path_info.startswith("/api/"):
        return PAGE
    if "HTTP_AUTHORIZATION" not in request.META:
        return PAGE  # REST with a session: a page's script
    return CLI if request.META.get("HTTP_USER_AGENT", "").startswith(CLI_AGENT) else REST


def whence(actor: str) -> tuple[str, str]:
    """(door, address) of what runs now; outside of a request the address is the system's user."""
    told = _WHENCE.get()
    return told if told is not None else (CODE if actor == CODE else CLI, _system_user())


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return ""


class WhenceMiddleware:
    """Remembers, for the time of one request, where it came from."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer one request."""
        before = _WHENCE.set((door_of(request), address_of(request)))
        try:
            return self._get_response(request)
        finally:
            _WHENCE.reset(before)
