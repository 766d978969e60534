"""Which link stands: unit by unit, and as a law over every order in which words can cross."""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.mesh.protocol import PROTOCOL_VERSION, Hello, Refusal
from registry.mesh.roster import MAX_LOST, Roster


def hello(origin: str) -> Hello:
    return Hello(PROTOCOL_VERSION, origin, "agent", "control", 0, "")


def roster(origin: str = "n1.1") -> Roster:
    return Roster(origin, lambda: 0)


def test_the_smaller_origin_judges() -> None:
    assert roster("n1.1").judges("n2.1")
    assert not roster("n2.1").judges("n1.1")
    assert roster("n2.1").decide(hello("n1.1"), b"a", b"", ours=True) == 0
    assert roster("n1.1").decide(hello("n2.1"), b"a", b"", ours=True) == 1


def test_the_judge_keeps_what_stands_unless_the_peer_lost_exactly_that() -> None:
    judge = roster()
    number = judge.decide(hello("n2.1"), b"a", b"", ours=False)
    assert isinstance(number, int)
    assert judge.stand("n2.1", b"a", number)
    for lost in (b"", b"z"):
        refusal = judge.decide(hello("n2.1"), b"b", lost, ours=False)
        assert isinstance(refusal, Refusal)
        assert refusal.reason.startswith("duplicate: ")
    later = judge.decide(hello("n2.1"), b"b", b"a", ours=False)
    assert isinstance(later, int)
    assert later > number


def test_a_promise_yields_to_a_newer_dial_of_the_peer_and_not_to_our_own() -> None:
    judge = roster()
    first = judge.decide(hello("n2.1"), b"a", b"", ours=False)
    assert isinstance(judge.decide(hello("n2.1"), b"b", b"", ours=True), Refusal)
    second = judge.decide(hello("n2.1"), b"c", b"", ours=False)
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert not judge.stand("n2.1", b"a", first)
    assert judge.stand("n2.1", b"c", second)


def test_a_promise_that_is_dropped_leaves_room_and_is_no_loss() -> None:
    judge = roster()
    judge.decide(hello("n2.1"), b"a", b"", ours=False)
    judge.drop("n2.1", b"a")
    assert judge.lost("n2.1") == b""
    assert isinstance(judge.decide(hello("n2.1"), b"b", b"", ours=True), int)


def test_a_link_that_stood_and_ended_is_remembered_as_lost() -> None:
    one = roster()
    one.stand("n2.1", b"a", 1)
    one.drop("n2.1", b"other")
    assert one.lost("n2.1") == b""
    one.drop("n2.1", b"a")
    assert one.lost("n2.1") == b"a"


def test_only_so_many_losses_are_remembered() -> None:
    one = roster()
    for number in range(MAX_LOST + 10):
        one.stand(f"n2.{number}", b"a", 1)
        one.drop(f"n2.{number}", b"a")
    assert one.lost("n2.9") == b""
    assert one.lost("n2.10") == b"a"


def test_an_older_incarnation_is_refused_while_a_newer_is_linked() -> None:
    for mine in ("n1.1", "n9.1"):
        one = roster(mine)
        one.stand("n2.7", b"a", 1)
        refusal = one.decide(hello("n2.6"), b"b", b"", ours=False)
        assert isinstance(refusal, Refusal)
        assert refusal.last_incarnation == 7
        assert not one.stand("n2.6", b"b", 99)
        assert one.older("n2.8") == "n2.7"
        one.drop("n2.7", b"a")
        assert not isinstance(one.decide(hello("n2.6"), b"b", b"", ours=False), Refusal)


class Crossing:
    """Two rosters whose words cross: each wire delivers in order, but the wires do not wait for each other."""

    def __init__(self) -> None:
        self.rosters = {"n1.1": roster("n1.1"), "n2.1": roster("n2.1")}
        self.up: dict[str, bytes] = {}
        self.steps: dict[bytes, list[str]] = {}
        self.names = count(1)

    def dial(self, dialler: str) -> None:
        if dialler in self.up:
            return
        link = b"%d" % next(self.names)
        self.steps[link] = [dialler, "response"]
        self.lost = {**getattr(self, "lost", {}), link: self.rosters[dialler].lost(self.other(dialler))}

    @staticmethod
    def other(origin: str) -> str:
        return "n2.1" if origin == "n1.1" else "n1.1"

    def advance(self, link: bytes) -> None:
        """Deliver the next word of one handshake."""
        if link not in self.steps:
            return
        dialler, step, *numbers = self.steps[link]
        acceptor = self.other(dialler)
        if step == "response":
            self._decide(link, acceptor, dialler, self.lost[link], "accepted", ours=False)
        elif step == "accepted":
            if self._decide(link, dialler, acceptor, b"", "begin", ours=True):
                number = max(int(number) for number in self.steps[link][2:])
                self._stand(link, dialler, number)
        else:
            del self.steps[link]
            self._stand(link, acceptor, max(int(number) for number in numbers))

    def _decide(self, link: bytes, mine: str, peer: str, lost: bytes, after: str, *, ours: bool) -> bool:
        word = self.rosters[mine].decide(hello(peer), link, lost, ours=ours)
        if isinstance(word, Refusal):
            self.end(link)
            return False
        self.steps[link] = [self.steps[link][0], after, *self.steps[link][2:], str(word)]
        return True

    def _stand(self, link: bytes, mine: str, number: int) -> None:
        if not self.rosters[mine].stand(self.other(mine), link, number):
            self.end(link)
            return
        before = self.up.get(mine)
        self.up[mine] = link
        if before is not None:
            self.end(before)

    def end(self, link: bytes) -> None:
        """A wire ends, and both sides hear of it."""
        self.steps.pop(link, None)
        for mine in self.rosters:
            self.notice(link, mine)

    def notice(self, link: bytes, mine: str) -> None:
        """One side hears that a wire is gone; the other may not, for long."""
        self.rosters[mine].drop(self.other(mine), link)
        if self.up.get(mine) == link:
            del self.up[mine]

    def settle(self) -> None:
        while self.steps:
            self.advance(next(iter(self.steps)))


moves = st.lists(
    st.tuples(
        st.sampled_from(["dial", "advance", "end", "notice"]), st.sampled_from(["n1.1", "n2.1"]), st.integers(1, 6)
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(moves)
def test_however_words_cross_both_sides_end_with_the_same_link(steps: list[tuple[str, str, int]]) -> None:
    world = Crossing()
    for verb, origin, number in steps:
        link = b"%d" % number
        if verb == "dial":
            world.dial(origin)
        elif verb == "advance":
            world.advance(link)
        elif verb == "end":
            world.end(link)
        elif world.up.get(origin) == link:
            world.notice(link, origin)
    world.settle()
    for origin in ("n2.1", "n1.1"):
        # Whoever has noticed a loss dials again; one dial is enough, whatever the other side still believes.
        if origin not in world.up:
            world.dial(origin)
            world.settle()
    assert world.up["n1.1"] == world.up["n2.1"]


@given(st.permutations(["a", "a", "a", "b", "b", "b"]))
def test_two_dials_at_once_bring_one_link_up_once(order: list[str]) -> None:
    world = Crossing()
    world.dial("n1.1")
    world.dial("n2.1")
    ups: list[tuple[str, bytes]] = []
    for which in order:
        world.advance(b"1" if which == "a" else b"2")
        ups += [item for item in world.up.items() if item not in ups]
    assert len(ups) == 2
    assert world.up["n1.1"] == world.up["n2.1"]
