"""The processes that `./sworm up` starts: about a dozen, on real input, the cluster itself.

It uses REST like any program would, and may be called again: what runs already is left alone.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

#: Sworms, with what is not a default.
SWORMS: list[dict[str, Any]] = [
    {"name": "probes", "handoff": True, "restart": "permanent"},
    {"name": "counters", "handoff": True},
    {"name": "chores", "restart": "permanent"},
]

#: Status of what is there already.
EXISTS = 409


def start(url: str, token: str, cluster: dict[str, Any]) -> None:
    """Start the demo on the cluster that `cluster.json` describes. Raises `RuntimeError` with a sentence."""
    for definition in SWORMS:
        ask(url, token, "/sworms", definition)
    for sworm, items in processes(cluster).items():
        answer = ask(url, token, f"/sworms/{sworm}/processes:batch", {"items": items})
        for result in answer["results"]:
            if result["status"] not in (201, EXISTS):
                raise RuntimeError(f"{sworm}/{result['name']}: {result['problem']['detail']}")


def processes(cluster: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What runs in each sworm."""
    return {
        "probes": [item(name, "examples.probes:Probe", where) for name, where in endpoints(cluster).items()],
        "counters": [
            item(name, "examples.counters:Counter", 0) for name in ("apples", "bolts", "clicks", "drops", "errors")
        ],
        "chores": [item("watch-disk", "examples.chores:watch_disk")],
    }


def item(name: str, target: str, *args: Any) -> dict[str, Any]:
    """One registration."""
    return {"name": name, "target": target, "args": list(args)}


def endpoints(cluster: dict[str, Any]) -> dict[str, str]:
    """Every endpoint of the cluster, without the credentials of any."""
    agents = {agent["name"]: f"http://{urlsplit(agent['mesh_url']).netloc}/healthz" for agent in cluster["agents"]}
    servers = {"database": cluster["database_url"], "broker": cluster["redis_url"]}
    tcp = {name: address(server) for name, server in servers.items()}
    return {"web": f"{cluster['url']}/healthz", **agents, **{name: where for name, where in tcp.items() if where}}


def address(server: str) -> str:
    """`tcp://host:port` of a server's URL; empty for one behind a socket file."""
    url = urlsplit(server)
    port = url.port or {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379}.get(url.scheme)
    return f"tcp://{url.hostname}:{port}" if url.hostname else ""


def ask(url: str, token: str, path: str, body: dict[str, Any]) -> Any:
    """POST something; what exists already is as good. Raises `RuntimeError` for any other refusal."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(f"{url}/api/v1{path}", json.dumps(body).encode(), headers)) as answer:  # noqa: S310
            return json.load(answer)
    except HTTPError as error:
        with error:
            told = json.load(error)
        if error.code != EXISTS:
            raise RuntimeError(f"{path}: {told['detail']}") from None
        return told
