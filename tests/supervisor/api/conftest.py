"""What the tests of the supervisor's API stand on: a definition, agents that answer, an observer that writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.conf import settings

django.setup()  # when pytest is given this folder, this file is read before pytest-django has done so

from registry import observed  # noqa: E402
from registry.auth import Principal  # noqa: E402
from registry.scopes import ALL  # noqa: E402
from supervisor import definitions  # noqa: E402
from tests.asking import Asking, asking  # noqa: E402
from tests.supervisor.agents import Agent, add_node, observer_writes  # noqa: E402

OPERATOR = Principal("user:somebody", ALL)


@pytest.fixture(autouse=True)
def _fresh_term() -> None:
    observed._Term.looked_at = 0.0


@pytest.fixture
def ask(db: None) -> Asking:
    """Somebody who may do everything."""
    return asking()


@pytest.fixture
def rooms(db: None) -> str:
    """A sworm that is defined."""
    definitions.create("rooms", {}, OPERATOR, "")
    return "rooms"


@pytest.fixture(scope="session")
def _agents() -> Iterator[dict[str, Agent]]:
    agents: dict[str, Agent] = {}
    yield agents
    for agent in agents.values():
        agent.stop()


@pytest.fixture
def start_agent(transactional_db: None, _agents: dict[str, Agent]) -> Callable[..., Agent]:
    """Start agents, with their rows, and an observer that writes."""

    def start(name: str = "n1", **script: Any) -> Agent:
        observer_writes()
        if name not in _agents:
            _agents[name] = Agent(name, settings.REDIS_URL)
        agent = _agents[name]
        agent.reborn(**script)
        add_node(name, agent.incarnation)
        return agent

    return start


@pytest.fixture
def agent(start_agent: Callable[..., Agent]) -> Agent:
    """One agent, n1."""
    return start_agent()
