"""Joining: when `joined` is told, and which URLs are dialled again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from registry.joining import Joining, Pauses
from tests.turns import until

ONE, TWO = "ws://one:1", "ws://two:1"


class Dialled:
    """A mesh that only remembers who was dialled."""

    def __init__(self) -> None:
        self.dials: list[str] = []
        self.standing: set[str] = set()

    def connect(self, url: str, origin: str | None = None) -> None:
        self.dials.append(url)

    def links(self) -> set[str]:
        return self.standing


def scenario(body: Callable[[Joining, Dialled, list[str]], Awaitable[None]], *urls: str) -> None:
    """Start joining these URLs and run the body; the pauses are made short, nothing waits for them but conditions."""

    async def run() -> None:
        mesh, told = Dialled(), ["joined"]
        told.clear()
        search = Joining(mesh, urls, lambda: told.append("joined"), Pauses(0.001, 0.002, 0.005))
        search.start()
        await body(search, mesh, told)
        search.stop()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_without_urls_a_node_has_joined_at_once() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        assert told == ["joined"]
        assert mesh.dials == []

    scenario(body)


def test_joined_is_told_once_when_each_url_was_tried() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        search.failed(ONE, reached=False, ourselves=False)
        assert told == []
        mesh.standing.add("two.1")
        search.link_up(TWO)
        assert told == ["joined"]
        search.failed(ONE, reached=False, ourselves=False)
        assert told == ["joined"]

    scenario(body, ONE, TWO)


def test_a_url_whose_node_keeps_this_one_out_is_not_tried_and_is_dialled_on() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        for _ in range(3):
            before = mesh.dials.count(ONE)
            search.failed(ONE, reached=False, ourselves=False, kept_out=True)
            await until(lambda before=before: mesh.dials.count(ONE) > before)  # type: ignore[misc]
        assert told == []
        mesh.standing.add("one.1")
        search.link_up(ONE)
        assert told == ["joined"]

    scenario(body, ONE)


def test_a_url_that_never_answered_is_dialled_on_beside_living_peers() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        mesh.standing.add("two.1")
        search.link_up(TWO)
        search.failed(ONE, reached=False, ourselves=False)
        before = mesh.dials.count(ONE)
        await until(lambda: mesh.dials.count(ONE) > before)
        search.failed(ONE, reached=False, ourselves=False)
        await until(lambda: mesh.dials.count(ONE) > before + 1)
        assert mesh.dials.count(TWO) == 1

    scenario(body, ONE, TWO)


def test_with_the_last_peer_gone_every_url_is_dialled_again() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        mesh.standing.update(["one.1", "two.1"])
        search.link_up(ONE)
        search.link_up(TWO)
        mesh.dials.clear()
        mesh.standing.discard("one.1")
        search.link_down()
        mesh.standing.clear()
        search.link_down()
        await until(lambda: {ONE, TWO} <= set(mesh.dials))

    scenario(body, ONE, TWO)


def test_a_peer_under_another_spelling_of_its_address_counts_as_reached() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        mesh.standing.add("one.1")
        search.link_up("ws://127.0.0.1:1")
        assert mesh.dials == [ONE, ONE]  # dialled once more, to be told that this is the one
        search.failed(ONE, reached=True, ourselves=False)
        assert told == ["joined"]

    scenario(body, ONE)


def test_the_own_url_is_dropped_for_good() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        search.failed(ONE, reached=False, ourselves=True)
        assert told == ["joined"]
        search.link_down()
        search.failed(ONE, reached=False, ourselves=True)
        assert mesh.dials == [ONE]

    scenario(body, ONE)


def test_a_url_in_a_black_hole_does_not_keep_a_node_from_joining_others() -> None:
    async def body(search: Joining, mesh: Dialled, told: list[str]) -> None:
        mesh.standing.add("two.1")
        search.link_up(TWO)
        assert told == []
        await until(lambda: told == ["joined"])

    scenario(body, ONE, TWO)
