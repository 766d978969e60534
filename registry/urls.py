"""Paths of the registry: below /api/v1/ (`urlpatterns`) and outside of it (`outside`).

Law: `urlpatterns` comes last below /api/v1/, since it ends with whatever nobody knows.
"""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path
from drf_spectacular.utils import extend_schema

from registry.api.docs import docs, openapi
from registry.api.endpoint import UnknownPath
from registry.api.events import Events, EventStream, MapAt
from registry.api.health import healthz, metrics, readyz
from registry.api.history import Audit
from registry.api.replicas import Compare, Replicas, Snapshots
from registry.api.tokens import OneToken, Tokens

unknown = extend_schema(exclude=True)(UnknownPath).as_view()

urlpatterns: list[URLPattern | URLResolver] = [
    path("replicas", Replicas.as_view()),
    path("replicas/snapshots", Snapshots.as_view()),
    path("replicas/compare", Compare.as_view()),
    path("events", Events.as_view()),
    path("events/stream", EventStream.as_view()),
    path("map", MapAt.as_view()),
    path("audit", Audit.as_view()),
    path("tokens", Tokens.as_view()),
    path("tokens/<int:id>", OneToken.as_view()),
    path("openapi.json", openapi),
    re_path(r"^", unknown),
]

outside: list[URLPattern | URLResolver] = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("api/docs", docs),
    re_path(r"^api(/|$)", unknown),
]
