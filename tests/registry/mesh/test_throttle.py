"""One word a second for each kind of thing."""

from __future__ import annotations

from registry.mesh.throttle import Throttle


def test_the_first_is_told_and_the_next_word_counts_what_was_passed_over() -> None:
    throttle = Throttle(1.0)
    assert throttle.pass_over("cluster_key", 10.0) == 0
    assert throttle.pass_over("cluster_key", 10.1) is None
    assert throttle.pass_over("cluster_key", 10.9) is None
    assert throttle.pass_over("cluster_key", 11.0) == 2
    assert throttle.pass_over("cluster_key", 12.5) == 0


def test_kinds_do_not_silence_each_other() -> None:
    throttle = Throttle(1.0)
    assert throttle.pass_over("cluster_key", 10.0) == 0
    assert throttle.pass_over("version", 10.0) == 0
