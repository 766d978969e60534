"""Routes of the pages.

Law: pages only; REST is mounted under /api/ by its own apps.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from swormweb import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.live_map, name="map"),
    *(path(name, views.listing, {"name": name}, name=name) for name in views.LISTS),
    path("operations/<uuid:id>", views.operation, name="operation"),
    path("process", views.process, name="process"),
    path("signin", views.sign_in, name="signin"),
    path("signin/<str:secret>", views.sign_in_by_link, name="signin-link"),
    path("signout", views.sign_out, name="signout"),
    path("favicon.ico", views.icon, name="icon"),
]
