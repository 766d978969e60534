"""Epochs: one is given out once, also to an attempt that never shows.

Named invariant: epoch-once.
"""

from __future__ import annotations

from registry.core.membership import PRESETS
from supervisor.core.context import Context, NodeConfig
from supervisor.core.node import MemberConfig, Node

NOW = 1_700_000_000.0


def context() -> Context:
    config = NodeConfig(MemberConfig(PRESETS["lan"], "ws://n1", "", ("rooms",)))
    return Node("n1.1", config, NOW).context


def test_an_epoch_granted_to_a_move_that_never_shows_is_not_given_out_again() -> None:
    one = context()
    granted = one.grant_epoch("rooms", "lobby")
    assert one.new_epoch("rooms", "lobby") > granted
    assert one.grant_epoch("rooms", "lobby") > granted


def test_names_do_not_share_what_was_granted() -> None:
    one = context()
    granted = one.grant_epoch("rooms", "lobby")
    assert one.new_epoch("rooms", "other") == granted


def test_a_grant_is_forgotten_once_the_time_of_day_is_past_it() -> None:
    one = context()
    granted = one.grant_epoch("rooms", "lobby")
    one.forget_grants()
    assert one.granted == {("rooms", "lobby"): granted}
    one.now = granted / 1_000_000 + 0.001
    one.forget_grants()
    assert one.granted == {}
    assert one.new_epoch("rooms", "lobby") > granted
