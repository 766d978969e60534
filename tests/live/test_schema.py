"""The OpenAPI document held against a real cluster: whatever fits it is asked, and whatever comes back must fit it.

Law: no answer is 500, none has a status, a type or a shape that the document does not name for its path, and nothing
that the document forbids is accepted. Most questions are led to things that exist, since a wrong name is refused
before anything else is looked at; what would take the cluster apart is asked of things that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import django
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

django.setup()

from registry.api.schema import document  # noqa: E402
from tests.live.cluster import LiveCluster  # noqa: E402

pytestmark = pytest.mark.live

SWORM, NAME, GROUP, NODE = "fuzz", "target", "crowd", "n3"
CHECKS = (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

#: Never asked: an answer without an end.
ENDLESS = r"/events/stream$"
#: Asked of nodes that do not exist: the others have use for theirs.
DEADLY = ("/api/v1/nodes/{node}/drain", "/api/v1/nodes/{node}")

schema = schemathesis.openapi.from_dict(document()).exclude(path_regex=ENDLESS)


@pytest.fixture(scope="module")
def cluster(shared_cluster: LiveCluster) -> Iterator[LiveCluster]:
    """The shared cluster with something to ask for."""
    shared_cluster.sworms(SWORM)
    body = {"name": NAME, "target": "examples.counters:Counter"}
    shared_cluster.post(f"/sworms/{SWORM}/processes", body)
    yield shared_cluster
    shared_cluster.post(f"/nodes/{NODE}/uncordon", {})


@pytest.fixture(scope="module")
def spare(cluster: LiveCluster) -> int:
    """A token that may be revoked."""
    made = cluster.post("/tokens", {"name": "spare", "scopes": ["read"]})
    return int(made.body["id"])


def led(case: Case, spare: int) -> None:
    """Lead three questions in four to what exists; the rest stays as it was drawn."""
    places: dict[str, Any] = case.path_parameters
    if "id" in places and "tokens" in case.path:
        places["id"] = spare
    for place, value in (("sworm", SWORM), ("name", NAME), ("group", GROUP), ("node", NODE)):
        if place in places and len(str(places[place])) % 4 and case.path not in DEADLY:
            places[place] = value
    if "node" in places and case.path in DEADLY:
        places["node"] = "nowhere"
    body = case.body
    if isinstance(body, dict) and "target" in body and len(str(body["target"])) % 4:
        body["target"] = "examples.counters:Counter"
    if isinstance(body, dict) and "timeout_ms" in body:
        body["timeout_ms"] = 1_000


@schema.parametrize()
@settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[*HealthCheck],
    derandomize=True,
)
def test_every_answer_fits_the_document(case: Case, cluster: LiveCluster, spare: int) -> None:
    led(case, spare)
    headers = {"Authorization": f"Bearer {cluster.told['token']}"}
    answer = case.call(base_url=cluster.told["url"], headers=headers, timeout=30)
    assert answer.status_code != 500, answer.text
    case.validate_response(answer, checks=CHECKS)
