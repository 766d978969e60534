"""Large states: whole or not at all, each wish ends once, and never more than the window under way to a node.

Named invariant: window-holds.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.core.events import Received, Send
from registry.core.member import MemberConfig
from registry.core.membership import PRESETS
from registry.core.messages import Fetch, Piece
from supervisor.core.context import NodeConfig
from supervisor.core.node import Node
from supervisor.core.transfer import INLINE, MAX_STATE, PIECE, WINDOW, StateKey, carried
from tests.scenarios.cluster import ROOMS, Cluster

NOW = 1_700_000_000.0


class Pair:
    """A node that pulls from another one, and the frames between them."""

    def __init__(self, states: dict[StateKey, bytes]) -> None:
        config = NodeConfig(MemberConfig(timing=PRESETS["lan"], url="ws://x"))
        self.here, self.there = Node("a.1", config, NOW), Node("b.2", config, NOW)
        self.there.transfers.sources.append(states.get)
        self.out: list[Any] = []
        self.here.context.out = self.out
        self.now = NOW
        self.heard: dict[StateKey, list[bytes | None]] = {}
        self.most = 0

    def want(self, key: StateKey, size: int) -> None:
        self.heard[key] = []
        self.here.transfers.want("b.2", key, size, self.heard[key].append)

    def sent(self) -> list[Any]:
        messages, self.out[:] = [effect.message for effect in self.out if isinstance(effect, Send)], []
        self.most = max(self.most, self.here.transfers.under_way)
        return messages

    def answer(self, fetch: Fetch) -> Piece:
        self.there.context.out = out = []
        self.there.transfers.on_fetch("a.1", fetch)
        return out[0].message

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.here.context.now = self.now
        self.here.transfers.tick()


def key(number: int) -> StateKey:
    return StateKey(ROOMS, f"p{number}", f"b.2.{number}", 7)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 400_000), min_size=1, max_size=8),
    loss=st.sampled_from([0.0, 0.1, 0.5]),
    seed=st.integers(0, 1_000),
)
def test_every_state_arrives_whole_whatever_is_lost_or_repeated(sizes: list[int], loss: float, seed: int) -> None:
    chance = random.Random(seed)
    states = {key(number): chance.randbytes(size) for number, size in enumerate(sizes)}
    pair = Pair(states)
    for wanted, state in states.items():
        pair.want(wanted, len(state))
    wire: deque[Any] = deque(pair.sent())
    for _ in range(20_000):
        if not pair.here.transfers.incoming:
            break
        if not wire:
            pair.tick(0.6)
        elif chance.random() < loss:
            wire.popleft()
        elif isinstance(wire[0], Fetch):
            wire.append(pair.answer(wire.popleft()))
        else:
            pair.here.transfers.on_piece("b.2", wire[0])
            if chance.random() >= loss / 2:  # else it comes again
                wire.popleft()
        wire += pair.sent()
    assert pair.heard == {wanted: [state] for wanted, state in states.items()}
    assert pair.most <= max(WINDOW, PIECE)
    assert pair.here.transfers.under_way == 0


def test_the_window_holds_however_many_are_wanted() -> None:
    states = {key(number): bytes(1_000_000) for number in range(100)}
    pair = Pair(states)
    for wanted in states:
        pair.want(wanted, 1_000_000)
    assert len(pair.sent()) == WINDOW // PIECE


def test_small_states_share_the_window() -> None:
    states = {key(number): bytes(100) for number in range(300)}
    pair = Pair(states)
    for wanted in states:
        pair.want(wanted, 100)
    assert len(pair.sent()) == 300


@pytest.mark.parametrize("size", [-1, MAX_STATE + 1, 2**40])
def test_a_size_that_cannot_be_is_not_asked_for(size: int) -> None:
    pair = Pair({})
    pair.want(key(1), size)
    assert pair.heard[key(1)] == [None]
    assert pair.sent() == []


def test_a_state_that_its_holder_has_no_more_ends_with_none() -> None:
    pair = Pair({})
    pair.want(key(1), 100)
    (fetch,) = pair.sent()
    pair.here.transfers.on_piece("b.2", pair.answer(fetch))
    assert pair.heard[key(1)] == [None]


@pytest.mark.parametrize(
    "piece",
    [
        Piece(*key(1), 0, 100, b"short"),
        Piece(*key(1), 50, 100, bytes(50)),
        Piece(*key(1), -1, 100, bytes(100)),
        Piece(*key(2), 0, 100, bytes(100)),
    ],
)
def test_a_piece_that_nobody_asked_for_changes_nothing(piece: Piece) -> None:
    pair = Pair({key(1): bytes(range(100))})
    pair.want(key(1), 100)
    (fetch,) = pair.sent()
    pair.here.transfers.on_piece("b.2", piece)
    pair.here.transfers.on_piece("c.3", pair.answer(fetch))
    pair.tick(0.6)
    (again,) = pair.sent()
    pair.here.transfers.on_piece("b.2", pair.answer(again))
    assert pair.heard[key(1)] == [bytes(range(100))]


def test_a_state_that_nobody_needs_any_more_makes_room() -> None:
    pair = Pair({})
    pair.want(key(1), MAX_STATE)
    pair.want(key(2), 100)
    assert {fetch.name for fetch in pair.sent()} == {"p1"}
    pair.here.transfers.forget(key(1))
    assert [fetch.name for fetch in pair.sent()] == ["p2"]
    assert pair.heard[key(1)] == [None]


@pytest.mark.parametrize("holder", ["b.2", "c.3"])
@pytest.mark.parametrize("comes", [True, False])
def test_whoever_wishes_for_a_state_that_is_being_pulled_hears_of_it_too(holder: str, comes: bool) -> None:
    pair = Pair({key(1): bytes(100)})
    pair.want(key(1), 100)
    first = pair.heard[key(1)]
    pair.sent()
    second: list[bytes | None] = []
    pair.here.transfers.want(holder, key(1), 100, second.append)
    if comes:
        pair.here.transfers.on_piece(holder, Piece(*key(1), 0, 100, bytes(100)))
    else:
        pair.here.transfers.forget(key(1))
    assert first == second == [bytes(100) if comes else None]
    assert (pair.here.transfers.under_way, pair.here.transfers.incoming) == (0, {})


def test_what_a_message_carries() -> None:
    assert carried(b"") == (b"", 0)
    assert carried(bytes(INLINE)) == (bytes(INLINE), 0)
    assert carried(bytes(INLINE + 1)) == (b"", INLINE + 1)


def test_heartbeats_pass_between_the_pieces_of_many_large_states() -> None:
    cluster = Cluster()
    cluster.start("n1", "n2", "n3")
    cluster.settle()
    cluster.define("n1", handoff=True)
    cluster.settle()
    cluster.ballast = 1_000_000
    for number in range(60):
        cluster.do("n1", "register", f"p{number}")
    most = 0
    plain = cluster.give

    def give(name: str, event: Any) -> None:
        nonlocal most
        for (_, there), link in cluster.links.items():
            waiting = [e.message for e in link if isinstance(e, Received) and isinstance(e.message, Piece)]
            most = max(most, sum(len(piece.data) for piece in waiting)) if there == name else most
        plain(name, event)

    cluster.give = give  # type: ignore[method-assign]
    cluster.drain("n2")
    cluster.pass_time(3.0)
    assert any(line == "n2: drained" for line in cluster.log)
    assert 0 < most <= WINDOW
