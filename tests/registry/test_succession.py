"""Who may take the term over, and when."""

from __future__ import annotations

from registry.readmodel import Term
from registry.succession import PATIENCE, Succession


def test_a_term_that_nobody_holds_is_free() -> None:
    assert Succession("b.1").may_take(None, 0.0)
    assert Succession("b.1").may_take(Term(4, "", 0.1), 0.0)


def test_a_restarted_observer_succeeds_itself_at_once_and_never_its_successor() -> None:
    assert Succession("a.7").may_take(Term(1, "a.6", 0.1), 0.0)
    assert not Succession("a.7").may_take(Term(1, "a.8", 0.1), 0.0)


def test_a_writer_that_renews_is_left_alone() -> None:
    standby = Succession("b.1")
    assert not any(standby.may_take(Term(1, "a.1", 0.5), now) for now in range(100))


def test_an_old_term_is_taken_only_after_watching_it_for_as_long() -> None:
    standby = Succession("b.1")
    assert not standby.may_take(Term(1, "a.1", 500.0), 0.0)
    assert not standby.may_take(Term(1, "a.1", 502.0), PATIENCE - 0.1)
    assert standby.may_take(Term(1, "a.1", 503.0), PATIENCE)


def test_after_an_outage_or_a_change_of_the_holder_the_watch_begins_anew() -> None:
    standby = Succession("b.1")
    standby.may_take(Term(1, "a.1", 5.0), 0.0)
    standby.interrupted()
    assert not standby.may_take(Term(1, "a.1", 9.0), PATIENCE)
    assert not standby.may_take(Term(2, "c.1", 9.0), PATIENCE * 1.5)
    assert not standby.may_take(Term(2, "c.1", 9.0), PATIENCE * 2)
    assert standby.may_take(Term(2, "c.1", 9.0), PATIENCE * 2.5)
