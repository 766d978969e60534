"""What daphne serves: pages and REST (Django), the live stream (Channels), static files (WhiteNoise).

Law: composition only. The order matters once: Django is set up first, since that loads the apps which the modules of
routes and consumers need.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import django

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swormweb.settings")
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import re_path  # noqa: E402

from registry.consumers import websocket_urlpatterns  # noqa: E402
from swormweb import static  # noqa: E402
from swormweb.handler import ThreadedHandler  # noqa: E402

pages = ThreadedHandler()
files = static.application(settings.STATIC_ROOT, settings.STATIC_URL)


async def http(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Static files here, everything else by Django."""
    if scope["path"].startswith(settings.STATIC_URL):
        await files(scope, receive, send)
    else:
        await pages(scope, receive, send)


async def no_such_socket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Refuse a socket at a path that is none, as HTTP would."""
    await receive()
    await send({"type": "websocket.close"})


sockets = URLRouter([*websocket_urlpatterns, re_path(r"", no_such_socket)])  # type: ignore[arg-type]  # Channels' kind
application = ProtocolTypeRouter({"http": http, "websocket": AuthMiddlewareStack(sockets)})
