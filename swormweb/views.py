"""The pages: the live map, signing in and out.

Law: a page is a frame with rights in it; what is true of the cluster comes over the stream and REST, never through a
template. Who may do what is asked of `registry.auth`, once a page, and repeated by REST at each action.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import get_template
from django.templatetags.static import static
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from registry import auth, scopes

#: Where somebody who is not signed in is sent.
SIGN_IN = "/signin"

#: How a link that signed nobody in is answered: the address was understood, the secret is not good.
BAD_LINK = 403

#: Seconds for which a browser remembers where the icon is.
ICON_AGE = 3600

#: Which backend vouches for a user who came by a one-time link.
BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class Entry:
    """One word of the rail."""

    word: str
    href: str
    scope: str = scopes.READ  #: who has it sees the word
    here: bool = False


#: Pages that are one table: path -> (title, what it holds).
LISTS = {
    "sworms": ("Sworms", "The definitions, and which revision of them each node runs"),
    "nodes": ("Nodes", "The agents that run processes, as the observer last saw them"),
    "processes": ("Processes", "What runs, under which name, and where"),
    "groups": ("Groups", "Processes that are spoken to together"),
    "operations": ("Operations", "What was asked for that takes a while, and what became of it"),
    "events": ("Events", "What happened, the newest first"),
    "replicas": ("Replicas", "Each node's copy of each registry, as last observed"),
    "audit": ("Audit", "Who changed what, and why"),
}

#: Those that are more than a table, and so not in `lists.js` -> their script.
SCRIPTS = {name: f"js/{name}.js" for name in ("processes", "groups", "operations", "events", "replicas", "audit")}

#: The rail: only what works is in it.
RAIL = (
    Entry("Map", "/"),
    *(Entry(title, f"/{name}") for name, (title, _) in LISTS.items()),
    Entry("Admin", "/admin/", scopes.CONFIG_WRITE),
    Entry("API", "/api/docs"),
)


def role_of(granted: frozenset[str]) -> str:
    """The largest role whose scopes are all granted, as the frame names it; "no rights" when there is none."""
    fitting = [role for role, needed in scopes.ROLES.items() if needed <= granted]
    return max(fitting, key=lambda role: len(scopes.ROLES[role]), default="no rights")


def frame(request: HttpRequest, within: str = "") -> dict[str, Any]:
    """What the frame of every page needs: the rail, and what this user may do.

    `within` is the path of the rail's word that a page without a word of its own belongs to.
    """
    principal = auth.principal_of_user(request.user)
    granted = principal.scopes if principal else frozenset()
    rail = [Entry(e.word, e.href, e.scope, e.href == (within or request.path)) for e in RAIL if e.scope in granted]
    return {
        "rail": rail,
        "scopes": " ".join(sorted(granted)),
        "role": role_of(granted),
        "origin": f"{request.scheme}://{request.get_host()}",
    }


def _page(request: HttpRequest, template: str, within: str = "", **more: Any) -> HttpResponse:
    """A page for whoever may read; 403 for an account without that right."""
    context = frame(request, within)
    if scopes.READ not in context["scopes"].split():
        return render(request, "403.html", context, status=403)
    return render(request, template, {**context, **more})


@require_GET
@never_cache
@login_required(login_url=SIGN_IN)
def live_map(request: HttpRequest) -> HttpResponse:
    """The live map."""
    return _page(request, "map.html")


@require_GET
@never_cache
@login_required(login_url=SIGN_IN)
def listing(request: HttpRequest, name: str) -> HttpResponse:
    """A page that is one table."""
    title, about = LISTS[name]
    script = SCRIPTS.get(name, "js/lists.js")
    return _page(request, "list.html", list=name, title=title, about=about, script=script)


@require_GET
@never_cache
@login_required(login_url=SIGN_IN)
def process(request: HttpRequest) -> HttpResponse:
    """The page of one process, `?sworm=…&name=…`."""
    named = {"sworm": request.GET.get("sworm", ""), "name": request.GET.get("name", "")}
    return _page(request, "process.html", "/processes", **named)


@require_GET
@never_cache
@login_required(login_url=SIGN_IN)
def operation(request: HttpRequest, id: UUID) -> HttpResponse:  # noqa: A002 - as the path names it
    """The page of one operation."""
    return _page(request, "operation.html", "/operations", id=str(id))


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in by name and password, then go where the user wanted to."""
    wanted = request.POST.get("next") or request.GET.get("next") or "/"
    form = AuthenticationForm(request, data=request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        login(request, form.get_user())
        return HttpResponseRedirect(_safe(request, wanted))
    return render(request, "signin.html", {"form": form, "next": wanted}, status=200 if not form.errors else 403)


def _safe(request: HttpRequest, wanted: str) -> str:
    """The address to go to, as long as it is one of ours."""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours else "/"


@require_GET
@never_cache
def sign_in_by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Sign in by a one-time link and go to the map; says why when the link is no longer good."""
    try:
        user = auth.consume_sign_in_link(secret)
    except auth.NotValid as problem:
        if request.user.is_authenticated:
            return HttpResponseRedirect("/")  # the link was used here before, as by a reload
        context = {"form": AuthenticationForm(request), "next": "/", "link_problem": str(problem)}
        return render(request, "signin.html", context, status=BAD_LINK)
    login(request, user, backend=BACKEND)
    return HttpResponseRedirect("/")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return HttpResponseRedirect(SIGN_IN)


@require_GET
@cache_control(max_age=ICON_AGE, public=True)
def icon(request: HttpRequest) -> HttpResponse:
    """Where the icon is, for browsers that ask for it on pages without a word of it, as the admin's."""
    return HttpResponseRedirect(static("img/icon.svg"))


def failed(request: HttpRequest) -> HttpResponse:
    """What a request that failed is shown: which service is away, or that it was our mistake. Reads no table itself."""
    error = sys.exc_info()[1]
    away = isinstance(error, OperationalError | InterfaceError)
    title = "PostgreSQL does not answer" if away else "The control plane failed"
    detail = (
        "The request was not carried out; pages come back with it." if away
        else "The request was not carried out because of an error on our side; it is in the log of the web process."
    )  # fmt: skip
    status = 503 if away else 500
    shown = {"title": title, "detail": detail, "status": status, "request": request}
    return HttpResponse(get_template("500.html").render(shown), status=status)
