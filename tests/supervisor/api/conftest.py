"""What the tests of the supervisor's API stand on: a definition, agents that answer, an observer that writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.conf import settings

django.setup()  # when pytest is given this folder, this file is read before pytest-django has done so

from registry import observed  # noqa: E402
from registry.auth import Principal, whole  # noqa: E402
from registry.readmodel import EventRow  # noqa: E402
from registry.scopes import ALL  # noqa: E402
from supervisor import definitions  # noqa: E402
from supervisor.engine import Engine  # noqa: E402
from supervisor.operations import Term  # noqa: E402
from tests.asking import Asking, asking  # noqa: E402
from tests.supervisor.agents import Agent, add_node, observer_writes  # noqa: E402

OPERATOR = Principal("user:somebody", whole(ALL))


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


class Driver:
    """An engine that takes its turns when the test looks, as the observer of `observer_writes` would."""

    def __init__(self, ask: Asking) -> None:
        self._ask = ask
        self.told: list[EventRow] = []
        self.term = Term("o.1", 1)
        self.engine = self._engine()

    def _engine(self) -> Engine:
        return Engine(lambda: self.term, self.told.append)

    def restart(self) -> None:
        """The observer's process dies, and another one takes over."""
        self.engine.stop_asking()
        self.engine = self._engine()

    def until(self, operation: str, holds: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The operation once this holds."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            self.engine.turn()
            found: dict[str, Any] = self._ask.get(f"/operations/{operation}").body
            if holds(found):
                return found
            time.sleep(0.01)
        raise AssertionError(f"still {found}")

    def ended(self, operation: str) -> dict[str, Any]:
        """The operation once it has ended."""
        return self.until(operation, lambda found: found["ended_at"] is not None)


@pytest.fixture
def driver(ask: Asking) -> Iterator[Driver]:
    """Whoever carries operations out."""
    driver = Driver(ask)
    yield driver
    driver.engine.stop_asking()
