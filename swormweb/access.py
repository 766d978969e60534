"""Doors into the control plane that are Django's own: the admin's site, and what a locked-out sign-in answers.

Law: no right is decided here: the admin lets in whoever `registry.auth` gives a scope, and each of its models asks for
its own. There is one place to sign in, so there is one place that is throttled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from registry.auth import principal_of_user
from registry.scopes import READ

SIGN_IN = "/signin"


class Site(AdminSite):
    """The admin: for whoever may look."""

    site_header = "Sworm"
    site_title = "Sworm"
    index_title = "Definitions, access, and what was observed"

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may come in; the flag `is_staff` says nothing here."""
        principal = principal_of_user(request.user)
        return principal is not None and principal.may(READ)

    def login(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        """The one place to sign in; somebody who is signed in but may not look is told so there."""
        if request.user.is_authenticated:
            return render(request, "403.html", status=403)
        wanted = request.GET.get("next") or request.get_full_path()
        return HttpResponseRedirect(f"{SIGN_IN}?{urlencode({'next': wanted})}")


def locked_out(request: HttpRequest, response: HttpResponse, credentials: Any = None) -> HttpResponse:
    """The sign-in page for whoever tried too often: 429, and when to come back."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    context = {
        "form": AuthenticationForm(request),
        "next": request.POST.get("next") or "/",
        "locked_minutes": max(1, round(seconds / 60)),
    }
    answer = render(request, "signin.html", context, status=429)
    answer.headers["Retry-After"] = str(seconds)
    return answer
