"""`viewing` in small clusters: members come to one view, and are ready once they hold what was reported.

Named invariants: views-agree, no-view-no-answer.
"""

from __future__ import annotations

from registry.core.directory import ENDED, VIEW, ViewRecord
from registry.core.events import Ticked
from registry.core.messages import DIRECTORY
from tests.laws import registration
from tests.registry.core.soup import SWORM, Soup


def test_members_come_to_one_view(soup: Soup) -> None:
    soup.check_equal()
    assert soup.members["n1.1"].view.agreeing == {"n1.1", "n2.1", "n3.1"}


def test_both_sides_of_a_split_go_on_and_agree_again_after_it(soup: Soup) -> None:
    soup.block("n1.1", "n2.1")
    soup.block("n1.1", "n3.1")
    soup.pass_time(5)
    assert soup.members["n1.1"].view.agreeing == {"n1.1"}
    assert soup.members["n2.1"].view.agreeing == {"n2.1", "n3.1"}
    assert soup.members["n1.1"].ready
    soup.members["n1.1"].write(SWORM, {"lobby": registration()})
    soup.blocked.clear()
    soup.pass_time(2)
    soup.check_equal()
    assert all(member.record.refutation > 0 for member in soup.members.values())


def test_a_version_of_a_departed_node_that_both_have_ended_is_not_waited_for() -> None:
    """Else a node whose peer reported that version, ended the incarnation and dropped its copy is never ready again."""
    soup = Soup()
    soup.start("n1.1", "n2.1")
    soup.pass_time(1)
    one, two = soup.members["n1.1"], soup.members["n2.1"]
    report = ViewRecord(two.view.id, {SWORM: {"n3.1": 24}})
    two.write(DIRECTORY, {VIEW: report})
    soup.step("n2.1", Ticked())
    soup.settle()
    soup.step("n1.1", Ticked())
    assert not one.viewing.spares("n3.1", "n2.1")
    one.write(DIRECTORY, {(ENDED, "n3"): (1,)})
    one.directory["n3.1"] = one.replica(DIRECTORY).copy("n3.1")  # still remembered, so not over for good
    assert not one.viewing.spares("n3.1", "n2.1")
    two.write(DIRECTORY, {(ENDED, "n3"): (1,)})
    soup.step("n2.1", Ticked())
    soup.settle()
    assert one.viewing.spares("n3.1", "n2.1")
