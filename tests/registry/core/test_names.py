"""Rank orders claims totally, by majority, then epoch, then origin, and by nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registry.core.names import Registration, located, rank
from tests.laws import law, registration, registrations

origins = st.sampled_from(["n1.1", "n2.1", "n3.9"])
claims = st.tuples(origins, registrations)


@law(40)
@given(st.lists(claims, min_size=2, max_size=6, unique_by=lambda claim: claim[0]))
def test_there_is_exactly_one_winner_whatever_the_order(found: list[tuple[str, Registration]]) -> None:
    ranks = [rank(*claim) for claim in found]
    assert len(set(ranks)) == len(ranks)
    assert max(ranks) == max(reversed(ranks))


def test_majority_outranks_epoch_and_epoch_outranks_origin() -> None:
    low, high = registration(epoch=1), registration(epoch=2)
    assert rank("n1.1", low) > rank("n9.9", registration(epoch=99, majority=0))
    assert rank("n1.1", high) > rank("n9.9", low)
    assert rank("n2.1", low) > rank("n1.1", low)


@law(20)
@given(registrations, st.integers(0, 99))
def test_rank_does_not_see_restarts_state_or_time(entry: Registration, count: int) -> None:
    later = entry._replace(restarts=count, started_at=count, state="failed", serial=count)
    assert rank("n1.1", entry) == rank("n1.1", later)


def test_a_located_entry_has_the_pid_of_its_incarnation() -> None:
    assert located("n1.7", registration(serial=3)).pid == "n1.7.3"
