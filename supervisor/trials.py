"""Whether the nodes can use a user's own strategy: asked before a definition that names one is written.

Law: what is importable and allowed is the agents' to say, each for itself, since any of them may have to decide about a
name. One that cannot is a refusal with its sentence; who does not answer refuses nothing, but is told of. Asked within
whatever transaction the caller has: no connection is given back here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from registry.models import Node, Sworm
from registry.problems import refused
from supervisor.advice import DANGER, Advice
from supervisor.broker import BROKER_ERRORS
from supervisor.client import Answer, Asked, BrokerUnavailable, default_client
from supervisor.core.spec import STRATEGIES, is_target
from supervisor.errors import NoAnswer
from supervisor.fitness import hosts

FIELD = "distribution_strategy"
MODULES = "allowed_modules"
#: Seconds for a node to start the strategy's process.
PATIENCE = 8.0
#: Threads that wait for nodes.
THREADS = 16
#: Words of agents that say something about the strategy.
SAID = ("strategy_failed", "target_not_allowed", "target_not_found", "start_failed")

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="trial")


def refuse_unusable(name: str, before: Sworm | None, fields: Mapping[str, Any]) -> str:
    """422 when a node that hosts the sworm cannot use the strategy that `fields` would give it.

    Returns what there is to know when nobody could be asked; empty when all was well, or there is nothing to ask.
    """
    strategy, modules = (fields.get(field, getattr(before, field, None)) for field in (FIELD, MODULES))
    if strategy is None or strategy in STRATEGIES or not is_target(strategy):
        return ""
    if before is not None and (before.distribution_strategy, before.allowed_modules) == (strategy, modules):
        return ""
    asked = [Asked(node.name, node.incarnation) for node in Node.objects.filter(forgotten=False, status="alive")
             if hosts(node, name)]  # fmt: skip
    trial = {FIELD: strategy, MODULES: [str(module) for module in modules or ()]}
    answers = dict(zip(asked, _pool.map(lambda one: _ask(one, name, trial), asked), strict=True))
    for node, answer in answers.items():
        if answer is not None and not answer.ok and answer.problem in SAID:
            raise refused(FIELD, f"{node.node} cannot use it: {answer.detail}")
    silent = sorted(node.node for node, answer in answers.items() if answer is None or not answer.ok)
    if not asked:
        return f"no live node hosts {name}, so nobody could say whether {strategy} can be used"
    return f"{', '.join(silent)} did not say whether {strategy} can be used there" if silent else ""


def advice(untried: str) -> list[Advice]:
    """The same as a thing to know about a definition."""
    return [Advice(FIELD, DANGER, untried)] if untried else []


def _ask(node: Asked, sworm: str, trial: dict[str, Any]) -> Answer | None:
    deadline = time.time() + PATIENCE
    fields: dict[str, Any] = {"sworm": sworm, "names": [], "trial": trial}
    try:
        return default_client().ask(node.node, node.incarnation, "foresee", deadline=deadline, **fields)
    except (NoAnswer, BrokerUnavailable, *BROKER_ERRORS):
        return None
