"""Asking a part over HTTP whether it is ready.

Law: a question never raises and never waits long; its answer is an empty string (ready) or the reason why not, in
words.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any

from swormweb.launch import ports

#: A part that is alive answers at once, in seconds.
_PATIENCE = 2.0


def fetch(port: int, path: str, token: str = "", host: str = ports.HOST) -> tuple[int, bytes]:
    """Status and body of a GET, on the loopback address unless told; raises OSError or HTTPException."""
    link = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        link.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def _asked(port: int, path: str = "/readyz", token: str = "", host: str = ports.HOST) -> tuple[dict[str, Any], str]:
    try:
        status, body = fetch(port, path, token, host)
    except OSError as error:
        return {}, f"does not answer yet ({error.strerror or error})"
    except http.client.HTTPException as error:
        return {}, f"answers no proper HTTP ({error!r})"
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    found = told if isinstance(told, dict) else {}
    return found, "" if status == 200 else f"says {status}: {body[:300].decode(errors='replace').strip()}"


def web_reason(port: int) -> str:
    """Why web, with its database, broker and observer, is not ready; empty when it is."""
    return _asked(port)[1]


def agent_reason(port: int, others: Iterable[str], host: str = ports.HOST) -> str:
    """Why an agent is not ready or does not see the other agents; empty when it does."""
    told, reason = _asked(port, host=host)
    if reason:
        return reason
    missing = sorted(set(others) - _names(told.get("peers")))
    return f"does not see {', '.join(missing)} yet" if missing else ""


def incarnation(port: int, host: str = ports.HOST) -> int:
    """The number of an agent's present incarnation; 0 when it does not tell."""
    number = _asked(port, host=host)[0].get("incarnation")
    return number if isinstance(number, int) else 0


def is_up(port: int, host: str = ports.HOST) -> bool:
    """Whether an agent answers and takes processes."""
    return _asked(port, host=host)[0].get("status") == "up"


def is_leaving(port: int, host: str = ports.HOST) -> bool:
    """Whether an agent is being drained, after which it ends."""
    return _asked(port, host=host)[0].get("status") in ("draining", "left")


def map_reason(port: int, token: str, agents: Mapping[str, int]) -> str:
    """Why REST does not show these incarnations of agents as alive; empty when it does."""
    told, reason = _asked(port, "/api/v1/nodes?limit=1000", token)
    if reason:
        return reason
    items = told.get("items", [])
    shown = {item["name"]: item["incarnation"] for item in items if item["status"] == "alive"}
    missing = sorted(name for name, number in agents.items() if shown.get(name) != number)
    return f"does not show {', '.join(missing)} as alive yet" if missing else ""


def _names(peers: object) -> set[str]:
    """Names of the peers that an agent lists: as names, or as objects with one."""
    if not isinstance(peers, list):
        return set()
    named = [peer.get("name", peer.get("node", "")) if isinstance(peer, dict) else peer for peer in peers]
    return {str(name).partition(".")[0] for name in named}
