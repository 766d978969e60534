"""Users' own strategies in processes of their own: every question is answered once, whatever the strategy does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from supervisor.core.events import Choose, Chosen
from supervisor.core.strategies import Candidate
from supervisor.workers.launch import Launcher
from supervisor.workers.strategist import Strategist
from tests.turns import until

HERE = "tests.supervisor.workers.strategies"
CANDIDATES = (
    Candidate("n1", {"zone": "a"}, 1.0, 3),
    Candidate("n2", {"zone": "b"}, 4.0, 8),
    Candidate("n3", {"room": "none"}, 1.0, 9),
)

pytestmark = pytest.mark.asyncio


class Asking:
    """A strategist, and the answers that came."""

    def __init__(self, allowed: tuple[str, ...] = (HERE,)) -> None:
        loop = asyncio.get_running_loop()
        self.answers: dict[str, asyncio.Future[Chosen]] = {}
        self.strategist = Strategist(loop, Launcher(loop), self._emit, allowed)

    def _emit(self, event: Chosen) -> None:
        self.answers[event.request].set_result(event)

    def put(self, strategy: str, *names: str, allowed: tuple[str, ...] = ()) -> asyncio.Future[Chosen]:
        """Ask; the answer comes."""
        request = f"r{len(self.answers)}"
        answer = self.answers[request] = asyncio.get_running_loop().create_future()
        self.strategist.choose(Choose(request, strategy, allowed, names, CANDIDATES))
        return answer

    async def ask(self, strategy: str, *names: str, allowed: tuple[str, ...] = ()) -> Chosen:
        """Ask one of the strategies beside, and wait."""
        text = strategy if ":" in strategy else f"{HERE}:{strategy}"
        async with asyncio.timeout(60):
            return await self.put(text, *names, allowed=allowed)


@pytest_asyncio.fixture
async def asking() -> AsyncIterator[Asking]:
    asking = Asking()
    yield asking
    await asking.strategist.close(20)


async def test_it_sees_name_labels_capacity_and_counts(asking: Asking) -> None:
    assert (await asking.ask("fullest", "lobby")).nodes == ("n1",)
    many = await asking.ask("first_letter", "a", "b", "c", "d")
    assert many.nodes == ("n2", "n3", "n1", "n2")


async def test_questions_that_wait_go_together_and_each_is_answered(asking: Asking) -> None:
    names = [chr(97 + number % 26) * 2 for number in range(500)]
    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(asking.put(f"{HERE}:first_letter", name) for name in names))
    assert [answer.nodes[0] for answer in answers] == [CANDIDATES[ord(name[0]) % 3].node for name in names]
    assert len(asking.strategist.known) == 1


async def test_an_answer_may_bring_the_next_question_at_once(asking: Asking) -> None:
    """As in the node: one name's answer frees it for the next claim, within the same step."""
    names = deque(chr(97 + number % 26) for number in range(300))
    asked: dict[str, str] = {}
    done = asyncio.get_running_loop().create_future()
    found: dict[str, str] = {}

    def put() -> None:
        request = f"q{len(asked)}"
        asked[request] = names.popleft()
        question = Choose(request, f"{HERE}:first_letter", (), (asked[request],), CANDIDATES)
        asking.strategist.choose(question)

    def emit(event: Chosen) -> None:
        found[event.request] = event.nodes[0]
        if names:
            put()
        if len(found) == 300:
            done.set_result(None)

    asking.strategist.emit = emit
    for _ in range(5):
        put()
    async with asyncio.timeout(60):
        await done
    assert found == {request: CANDIDATES[ord(name) % 3].node for request, name in asked.items()}


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        ("raises", "raised LookupError: no idea where lobby belongs for 'lobby'"),
        ("returns_nonsense", "it must be a candidate's node, or None"),
        ("takes_nothing", "raised TypeError"),
        ("NOT_CALLABLE", "is not callable"),
        ("missing", "has no missing"),
        ("leaves", "ended"),
        ("exits", "enough"),
        ("os:system", "is not among those this agent may run"),
        (f"{HERE}.nothing:here", "there is no module"),
    ],
)
async def test_a_bad_one_is_an_error_and_no_more(asking: Asking, strategy: str, sentence: str) -> None:
    for _ in range(2):
        answer = await asking.ask(strategy, "lobby")
        assert answer.nodes == ()
        assert sentence in answer.problem
    assert (await asking.ask("first_letter", "a")).nodes == ("n2",)


async def test_one_that_does_not_answer_is_ended_and_begun_anew(asking: Asking) -> None:
    assert (await asking.ask("sleeps", "quick")).nodes == ("n1",)
    patience, asking.strategist.patience = asking.strategist.patience, 0.3
    late = await asking.ask("sleeps", "lobby")
    assert "did not answer within 0.3 s" in late.problem
    asking.strategist.patience = patience
    assert (await asking.ask("sleeps", "quick")).nodes == ("n1",)


async def test_one_that_nobody_asks_any_more_has_no_process(asking: Asking) -> None:
    asking.strategist.unused = 0.05
    assert (await asking.ask("first_letter", "a")).nodes == ("n2",)
    await until(lambda: not (asking.strategist.known or asking.strategist.ending))
    assert (await asking.ask("first_letter", "a")).nodes == ("n2",)


async def test_the_sworms_own_list_counts_too(asking: Asking) -> None:
    answer = await asking.ask("first_letter", "a", allowed=("chat",))
    assert "is not among those this sworm allows: chat" in answer.problem
    assert (await asking.ask("first_letter", "a", allowed=("tests",))).nodes == ("n2",)
