"""`Entrance`: a joining member has everything that its peers told it of at first, or it stays outside."""

from __future__ import annotations

from registry.core.entering import Entrance, Vector

A, B = "a.1", "b.1"


def open_for(entrance: Entrance, heard: list[str], held: dict[str, dict[str, int]]) -> bool:
    def holds(wanted: Vector, reporter: str) -> bool:
        return all(
            held.get(sworm, {}).get(origin, 0) >= version
            for sworm, versions in wanted.items()
            for origin, version in versions.items()
        )

    return entrance.is_open(heard, holds)


def test_nobody_to_hear_is_no_hindrance() -> None:
    assert open_for(Entrance(), [], {})


def test_a_peer_that_is_heard_and_has_not_told_yet_is_waited_for() -> None:
    entrance = Entrance()
    assert not open_for(entrance, [A], {})
    entrance.told_same(A)
    assert open_for(entrance, [A], {})
    assert not open_for(entrance, [A, B], {})


def test_what_was_told_first_counts_whatever_comes_later() -> None:
    entrance = Entrance()
    entrance.told(A, {"rooms": {A: 3}})
    entrance.told(A, {"rooms": {A: 9}})
    assert not open_for(entrance, [A], {"rooms": {A: 2}})
    assert open_for(entrance, [A], {"rooms": {A: 3}})


def test_what_a_peer_has_dropped_since_nobody_can_have_from_it() -> None:
    entrance = Entrance()
    entrance.told(A, {"rooms": {A: 3, B: 5}})
    entrance.told(A, {"rooms": {A: 3}})
    assert open_for(entrance, [A], {"rooms": {A: 3}})


def test_a_peer_that_went_and_came_back_is_asked_anew() -> None:
    entrance = Entrance()
    entrance.told(A, {"rooms": {A: 3}})
    entrance.gone(A)
    assert not open_for(entrance, [A], {"rooms": {A: 9}})
    entrance.told(A, {"rooms": {A: 7}})
    assert not open_for(entrance, [A], {"rooms": {A: 3}})
