"""Every door, with every role and none: each URL pattern and each socket route has its entry here, or the test fails.

Law: the tables below are written by hand, apart from the code that they judge.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.apps import apps
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver

from registry import consumers
from registry.apps import ensure_roles
from registry.auth import Principal, issue_token, whole
from registry.models import Event, Membership, ReplicaSnapshot
from registry.scopes import ALL, ROLES
from supervisor import definitions
from supervisor.models import Operation
from swormweb.urls import urlpatterns
from tests.asking import Asking, asking
from tests.supervisor.agents import add_node, add_process, now, observer_writes

pytestmark = pytest.mark.django_db(transaction=True)

READ, WRITE, CALL, MOVE = "read", "process:write", "process:call", "process:handoff"
DRAIN, CONFIG, TOKEN = "node:drain", "config:write", "token:admin"

P = "api/v1/sworms/{sworm}/processes"
G = "api/v1/sworms/{sworm}/groups"

#: Path -> the scope of each of its methods.
REST: dict[str, dict[str, str]] = {
    "api/v1/processes": {"GET": READ},
    "api/v1/sworms": {"GET": READ, "POST": CONFIG},
    "api/v1/sworms/{sworm}": {"GET": READ, "PUT": CONFIG, "PATCH": CONFIG, "DELETE": CONFIG},
    "api/v1/sworms/{sworm}/revisions": {"GET": READ},
    "api/v1/sworms/{sworm}/revert": {"POST": CONFIG},
    "api/v1/sworms/{sworm}/migrate": {"POST": MOVE},
    "api/v1/sworms/{sworm}/rebalance": {"POST": MOVE},
    "api/v1/sworms/{sworm}/restart": {"POST": WRITE},
    P: {"GET": READ, "POST": WRITE},
    f"{P}:batch": {"POST": WRITE},
    f"{P}/{{name}}": {"GET": READ, "PUT": WRITE, "DELETE": WRITE},
    f"{P}/{{name}}/call": {"POST": CALL},
    f"{P}/{{name}}/cast": {"POST": CALL},
    f"{P}/{{name}}/restart": {"POST": WRITE},
    f"{P}/{{name}}/handoff": {"POST": MOVE},
    G: {"GET": READ},
    f"{G}/{{group}}": {"GET": READ},
    f"{G}/{{group}}/members/{{name}}": {"PUT": WRITE, "DELETE": WRITE},
    f"{G}/{{group}}/publish": {"POST": CALL},
    f"{G}/{{group}}/multi_call": {"POST": CALL},
    "api/v1/nodes": {"GET": READ},
    "api/v1/nodes/{node}": {"GET": READ, "DELETE": DRAIN},
    "api/v1/nodes/{node}/drain": {"POST": DRAIN},
    "api/v1/nodes/{node}/cordon": {"POST": DRAIN},
    "api/v1/nodes/{node}/uncordon": {"POST": DRAIN},
    "api/v1/operations": {"GET": READ},
    "api/v1/operations/{id}": {"GET": READ},
    "api/v1/operations/{id}/steps": {"GET": READ},
    "api/v1/operations/{id}/cancel": {"POST": MOVE},  # of the operation that the test makes: a move
    "api/v1/replicas": {"GET": READ},
    "api/v1/replicas/snapshots": {"GET": READ},
    "api/v1/replicas/compare": {"GET": READ},
    "api/v1/events": {"GET": READ},
    "api/v1/events/stream": {"GET": READ},
    "api/v1/map": {"GET": READ},
    "api/v1/audit": {"GET": READ},
    "api/v1/tokens": {"GET": TOKEN, "POST": TOKEN},
    "api/v1/tokens/{id}": {"GET": TOKEN, "DELETE": TOKEN},
}

#: Paths that anybody may read: for machines that watch, and for those who want in.
OPEN = {"healthz", "readyz", "metrics", "api/docs", "api/v1/openapi.json", "signin", "signin/{secret}", "signout",
        "favicon.ico"}  # fmt: skip

#: Whatever is no path: 401 for strangers, 404 for the rest.
NO_PATH = {"api/v1/^", "^api(/|$)"}

#: Pages: a stranger is sent to sign in, who may not look is refused.
PAGES = {
    "", "sworms", "nodes", "processes", "process", "groups", "operations", "operations/{id}", "events", "replicas",
    "audit",
}  # fmt: skip

#: Admin models -> the scopes of looking and of adding (None: nobody).
ADMIN = {
    "registry/node": (READ, None),
    "registry/process": (READ, None),
    "registry/membership": (READ, None),
    "registry/event": (READ, None),
    "registry/replicasnapshot": (READ, None),
    "registry/observerterm": (READ, None),
    "registry/auditentry": (READ, None),
    "registry/apitoken": (TOKEN, TOKEN),
    "registry/sworm": (READ, CONFIG),
    "registry/swormrevision": (READ, None),
    "supervisor/operation": (READ, None),
    "auth/user": (TOKEN, TOKEN),
    "auth/group": (TOKEN, TOKEN),
}

#: Socket routes -> the scope that they need.
SOCKETS = {"ws/map": READ}


def routes(patterns: Sequence[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


FOUND = sorted(set(routes(urlpatterns)))


def test_every_url_has_its_entry() -> None:
    known = {*REST, *OPEN, *PAGES, *NO_PATH}
    admin = tuple(f"admin/{model}/" for model in ADMIN)
    own = re.compile(r"admin/(|login/|logout/|password_change/.*|autocomplete/|jsi18n/|r/.*|\^.*|\(\?P.*)\Z")
    missing = [route for route in FOUND if route not in known and not route.startswith(admin) and not own.match(route)]
    assert missing == [], "say in tests/swormweb/test_rights.py who may use these"


def test_every_socket_route_has_its_entry() -> None:
    found = {str(route.pattern) for route in consumers.websocket_urlpatterns} - {""}
    assert found == SOCKETS.keys()


def concrete(route: str, operation: str) -> str:
    values = {"sworm": "rooms", "name": "lobby", "group": "g", "node": "n1", "id": operation}
    if route.startswith("api/v1/tokens"):
        values["id"] = "0"
    return "/" + re.sub(r"\{(\w+)\}", lambda match: values[match[1]], route)


@pytest.fixture
def operation() -> str:
    return str(Operation.objects.create(kind="migrate", sworm="rooms", requested_by="somebody").id)


def test_rest_asks_for_exactly_its_scope(operation: str) -> None:
    right = {scope: asking(scope) for scope in ALL}
    wrong = {scope: asking(*(ALL - {scope})) for scope in ALL}
    bound = {scope: asking(scope, sworms=("games",)) for scope in ALL}
    nobody = Asking(None)
    for route, methods in REST.items():
        if route not in FOUND:
            continue
        path = "/" + concrete(route, operation)
        for method, scope in methods.items():
            assert nobody(method, path).status == 401, (method, route)
            assert wrong[scope](method, path).status == 403, (method, route)
            assert right[scope](method, path).status not in (401, 403), (method, route)
            if "{sworm}" in route or route == "api/v1/operations/{id}/cancel":
                assert bound[scope](method, path).status == 403, (method, route)


def test_a_method_without_an_entry_is_none(operation: str) -> None:
    ask = asking()
    for route, methods in REST.items():
        if route in FOUND:
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - methods.keys():
                assert ask(method, "/" + concrete(route, operation)).status == 405, (method, route)


def person(role: str, **more: Any) -> Client:
    ensure_roles()
    user = User.objects.create_user(f"{role or 'nobody'}-at-work", **more)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


ROLE_SCOPES = {"": frozenset[str](), **ROLES}


@pytest.mark.parametrize("role", [None, *ROLE_SCOPES])
def test_roles_over_rest(role: str | None, operation: str) -> None:
    client = Client() if role is None else person(role)
    for route, methods in REST.items():
        if route not in FOUND:
            continue
        path = concrete(route, operation)
        for method, scope in methods.items():
            answer = client.generic(method, path)
            assert isinstance(answer, HttpResponse) or answer.streaming
            if role is None:
                assert answer.status_code == 401, (method, route)
            elif scope in ROLE_SCOPES[role]:
                assert answer.status_code not in (401, 403), (method, route)
            else:
                assert answer.status_code == 403, (method, route)


@pytest.mark.parametrize("role", [None, *ROLE_SCOPES])
def test_roles_on_pages(role: str | None) -> None:
    client = Client() if role is None else person(role)
    for route in sorted(PAGES & {*FOUND}):
        answer = client.get("/" + route.replace("{id}", "7d3f6a9e-0000-4000-8000-000000000000"))
        if role is None:
            assert answer.status_code == 302, route
            assert answer.headers["Location"].startswith("/signin?"), route
        elif READ in ROLE_SCOPES[role]:
            assert answer.status_code in (200, 404), route  # a page about one thing, which is not there
        else:
            assert answer.status_code == 403, route
    for route in sorted(OPEN - {"signin/{secret}", "signout", "readyz", "favicon.ico"}):
        assert client.get(f"/{route}").status_code == 200, route
    assert client.get("/favicon.ico").headers["Location"].endswith(".svg")
    for path in ("/api/v1/nothing", "/api/nothing"):
        assert client.get(path).status_code == (401 if role is None else 404)


@pytest.mark.parametrize("role", [None, *ROLE_SCOPES])
def test_roles_in_the_admin(role: str | None) -> None:
    client = Client() if role is None else person(role)
    granted = ROLE_SCOPES.get(role or "", frozenset())
    for model, (looks, adds) in ADMIN.items():
        if f"admin/{model}/" not in FOUND:
            continue
        for path, scope in ((f"/admin/{model}/", looks), (f"/admin/{model}/add/", adds)):
            answer = client.get(path)
            if role is None:
                assert answer.status_code == 302, path
                assert "/login/" in answer.headers["Location"], path
            elif READ not in granted:
                assert answer.status_code in (302, 403), path
            else:
                assert answer.status_code == (200 if scope in granted else 403), path


def one_of_each(operation: str) -> None:
    """A row for every model of the admin."""
    definitions.create("rooms", {}, Principal("user:somebody", whole(ALL)), "")  # with a revision, and its audit row
    add_node("n1")
    add_process("rooms", "lobby")
    Membership.objects.create(sworm="rooms", group="public", pid="n1.1.1", name="lobby", revision=1)
    observer_writes()
    Event.objects.create(revision=1, at=now(), kind="started", sworm="rooms", name="lobby", node="n1")
    ReplicaSnapshot.objects.create(node="n1", sworm="rooms", size=1, digest="00", observed_at=now())
    issue_token("test", ["read"])


@pytest.mark.parametrize("role", ROLE_SCOPES)
def test_each_row_in_the_admin_is_shown_to_who_may_look(role: str, operation: str) -> None:
    client, granted = person(role), ROLE_SCOPES[role]
    one_of_each(operation)
    for model, (looks, _) in ADMIN.items():
        row = apps.get_model(model.replace("/", ".")).objects.first()
        assert row is not None, model
        for view in ("change", "history"):
            answer = client.get(f"/admin/{model}/{quote(row.pk)}/{view}/")
            if READ not in granted:
                assert answer.status_code in (302, 403), (model, view)
            else:
                assert answer.status_code == (200 if looks in granted else 403), (model, view)


def test_staff_alone_is_no_right() -> None:
    client = person("", is_staff=True)
    assert client.get("/admin/", follow=True).status_code == 403


async def opened(cookie: str, token: str | None) -> dict[str, Any]:
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"cookie", cookie.encode())]
    application = AuthMiddlewareStack(URLRouter(consumers.websocket_urlpatterns))
    socket = WebsocketCommunicator(application, "/ws/map?sworm=*", headers=headers)
    try:
        connected, _ = await socket.connect(10)
        assert connected
        if token is not None:
            await socket.send_json_to({"token": token})
        return await socket.receive_json_from(20)
    finally:
        await socket.disconnect()


@pytest.mark.parametrize("role", [*ROLE_SCOPES])
def test_roles_at_the_socket(role: str) -> None:
    cookie = f"sworm_session={person(role).cookies['sworm_session'].value}"
    told = asyncio.run(opened(cookie, None))
    assert told["type"] == ("snapshot" if READ in ROLE_SCOPES[role] else "error")


@pytest.mark.parametrize("scope", sorted(ALL))
def test_scopes_at_the_socket(scope: str) -> None:
    async def scenario() -> dict[str, Any]:
        token, _ = await sync_to_async(issue_token)("test", [scope])
        return await opened("", token)

    assert asyncio.run(scenario())["type"] == ("snapshot" if scope == READ else "error")
