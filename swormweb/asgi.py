"""What daphne serves: pages and REST (Django), the live stream (Channels), static files (WhiteNoise).

Law: composition only. The order matters once: Django's application is made first, since that loads the apps which the
modules of routes and consumers need.
"""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swormweb.settings")
pages = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import re_path  # noqa: E402
from registry.consumers import websocket_urlpatterns  # noqa: E402

from swormweb import static  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                re_path(r"^static/", static.application(settings.STATIC_ROOT, settings.STATIC_URL)),
                re_path(r"", pages),  # type: ignore[arg-type]  # Channels' routes lead to applications
            ]
        ),
        "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
    }
)
