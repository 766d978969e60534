"""Every operation, with every fault at every deed of the observer that carries it out.

Named invariants: operation-ends, operation-shows, operation-keeps-pace, cancel-stops, moved-once.
"""

from __future__ import annotations

import pytest

from supervisor.simulation.deeds import FAULTS, OPERATIONS, Deeds

#: More deeds than any of these operations takes.
MOST = 200


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_fault_at_every_deed_of_an_operation_breaks_no_promise(operation: str, fault: str) -> None:
    struck = 0
    while struck < MOST and Deeds(operation, fault, struck).run():
        struck += 1
    assert 1 < struck < MOST
