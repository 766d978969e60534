"""What every mesh promises (`registry.mesh.protocol`), asked of each implementation."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from registry.core.messages import Delta, Resolved, Want
from registry.mesh.protocol import Hello, Options, Refusal
from tests.registry.mesh.owners import KEY, World

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture(params=["memory", "websocket"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    made = World(request.param)
    yield made
    await made.close()


def want(number: int) -> Want:
    return Want("rooms", "n1.1", number)


# ------------------------------------------------------------------------------------------------------------ links


async def test_a_dial_makes_a_link_and_both_sides_know_who_is_there(world: World) -> None:
    one, first, two, second = await world.pair()
    assert one.links() == {"n2.1"}
    assert two.links() == {"n1.1"}
    hello = first.hellos["n2.1"]
    assert (hello.origin, hello.role, hello.lane, hello.url) == ("n2.1", "agent", "control", two.identity.url)
    assert abs(hello.clock / 1e6 - time.time()) < 60
    assert second.hellos["n1.1"].url == one.identity.url


async def test_listening_fills_in_the_url_and_leaves_a_given_one(world: World) -> None:
    one, _ = world.mesh("n1.1")
    two, _ = world.mesh("n2.1", url="ws://gateway:7000")
    assert await one.listen("127.0.0.1", 0) == one.identity.url != ""
    assert await two.listen("127.0.0.1", 0) == two.identity.url == "ws://gateway:7000"


async def test_a_wildcard_address_needs_a_url(world: World) -> None:
    one, _ = world.mesh("n1.1")
    with pytest.raises(ValueError, match="needs a URL"):
        await one.listen("0.0.0.0", 0)


async def test_an_address_in_use_is_an_os_error(world: World) -> None:
    one, _ = world.mesh("n1.1")
    two, _ = world.mesh("n2.1")
    port = int((await one.listen("127.0.0.1", 0)).rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await two.listen("127.0.0.1", port)


async def test_where_nobody_listens_the_dial_is_refused(world: World) -> None:
    one, first = world.mesh("n1.1")
    two, _ = world.mesh("n2.1")
    url = await two.listen("127.0.0.1", 0)
    await two.close()
    one.connect(url, "n2.1")
    failed = await first.until_told("failed")
    assert failed[:3] == (url, "n2.1", True)
    assert failed[3].startswith("unreachable: ")


async def test_a_dial_without_an_origin_takes_whoever_is_there(world: World) -> None:
    one, first = world.mesh("n1.1")
    two, _ = world.mesh("n2.1")
    one.connect(await two.listen("127.0.0.1", 0))
    assert await first.until_told("up") == ("n2.1",)
    assert first.of("failed") == []


async def test_somebody_else_at_the_url_is_a_link_and_a_failed_dial(world: World) -> None:
    one, first = world.mesh("n1.1")
    two, _ = world.mesh("n2.7")
    url = await two.listen("127.0.0.1", 0)
    one.connect(url, "n2.5")
    failed = await first.until_told("failed")
    assert failed[:3] == (url, "n2.5", True)
    assert failed[3].startswith("not_there: ")
    assert one.links() == {"n2.7"}


async def test_two_that_dial_each_other_at_once_end_with_one_link_and_no_flap(world: World) -> None:
    for round_ in range(1, 9):
        one, first = world.mesh(f"n1.{round_}")
        two, second = world.mesh(f"n2.{round_}")
        await one.listen("127.0.0.1", 0)
        await two.listen("127.0.0.1", 0)
        dials = [(one, two), (two, one)] if round_ % 2 else [(two, one), (one, two)]
        for mesh, other in dials:
            mesh.connect(other.identity.url, other.identity.origin)
        await first.until_told("up")
        await second.until_told("up")
        one.send(two.identity.origin, want(1))
        two.send(one.identity.origin, want(2))
        await first.until_told("got")
        await second.until_told("got")
        for owner in (first, second):
            assert [what[0] for what in owner.told] == ["up", "got"]


async def test_a_standing_link_makes_a_further_dial_a_no_op(world: World) -> None:
    one, first, two, second = await world.pair()
    two.connect(one.identity.url, "n1.1")
    one.connect(two.identity.url, "n2.1")
    one.send("n2.1", want(1))
    await second.until_told("got")
    assert first.told == [("up", "n2.1")]
    assert [what[0] for what in second.told] == ["up", "got"]


async def test_a_dial_without_an_origin_that_finds_a_linked_peer_says_duplicate(world: World) -> None:
    one, first, two, second = await world.pair()
    for mesh, owner, other in ((one, first, two), (two, second, one)):
        mesh.connect(other.identity.url)
        failed = await owner.until_told("failed")
        assert failed[:3] == (other.identity.url, None, False)
        assert failed[3].startswith("duplicate: ")
    assert first.up == {"n2.1"}
    assert second.up == {"n1.1"}
    assert first.of("refused") == second.of("refused") == []


async def test_a_newer_incarnation_takes_the_place_of_an_older(world: World) -> None:
    one, first, _, second = await world.pair()
    newer, third = world.mesh("n2.2")
    newer.connect(one.identity.url, "n1.1")
    await third.until_told("up")
    await second.until_told("down")
    assert one.links() == {"n2.2"}
    assert [what[:2] for what in first.told] == [("up", "n2.1"), ("down", "n2.1"), ("up", "n2.2")]
    assert first.of("down")[0][1].startswith("replaced: ")


async def test_an_older_incarnation_is_refused_and_told_the_newer(world: World) -> None:
    one, first = world.mesh("n1.1")
    newer, second = world.mesh("n2.9")
    older, third = world.mesh("n2.8")
    url = await one.listen("127.0.0.1", 0)
    newer.connect(url, "n1.1")
    await second.until_told("up")
    older.connect(url, "n1.1")
    failed = await third.until_told("failed")
    assert failed[:3] == (url, "n1.1", False)
    assert failed[3].startswith("ended: ")
    assert failed[4] == 9
    assert (await first.until_told("refused"))[0] == "n2.8"
    assert one.links() == {"n2.9"}


async def test_a_node_that_reaches_itself_gives_up(world: World) -> None:
    one, first = world.mesh("n1.1")
    url = await one.listen("127.0.0.1", 0)
    one.connect(url)
    assert (await first.until_told("failed"))[3].startswith("self: ")
    assert one.links() == set()


# ----------------------------------------------------------------------------------------------------------- refusals


async def refused(world: World, dialler: Any, told: Any, acceptor_options: Options | None = None) -> tuple[Any, ...]:
    """Dial a fresh n1; returns what the dialler was told, having seen that nothing stands anywhere."""
    one, first = world.mesh("n1.1", options=acceptor_options)
    dialler.connect(await one.listen("127.0.0.1", 0), "n1.1")
    failed: tuple[Any, ...] = await told.until_told("failed")
    await first.until_told("refused")
    assert one.links() == dialler.links() == set()
    assert first.of("up") == told.of("up") == []
    assert failed[2] is False
    return failed


async def test_another_cluster_key_is_refused(world: World) -> None:
    two, second = world.mesh("n2.1", key=KEY[::-1])
    assert (await refused(world, two, second))[3].startswith("cluster_key: ")


async def test_the_other_lane_is_refused(world: World) -> None:
    two, second = world.mesh("n2.1", lane="calls")
    assert (await refused(world, two, second))[3].startswith("wrong_lane: ")


@pytest.mark.parametrize("skew", [-6.0, 6.0])
async def test_a_clock_beyond_the_allowed_skew_is_refused(world: World, skew: float) -> None:
    two, second = world.mesh("n2.1", options=Options(clock=lambda: round((time.time() + skew) * 1e6)))
    reason = (await refused(world, two, second))[3]
    assert reason.startswith("clock_skew: ")
    assert ("ahead of" if skew > 0 else "behind") in reason


async def test_a_small_skew_is_borne(world: World) -> None:
    one, _ = world.mesh("n1.1", options=Options(clock=lambda: round((time.time() + 2) * 1e6)))
    two, second = world.mesh("n2.1")
    two.connect(await one.listen("127.0.0.1", 0), "n1.1")
    await second.until_told("up")


async def test_the_owner_refuses_whom_it_will(world: World) -> None:
    asked: list[Hello] = []

    def admit(hello: Hello) -> Refusal:
        asked.append(hello)
        return Refusal("that incarnation is over", 41)

    two, second = world.mesh("n2.1")
    failed = await refused(world, two, second, Options(admit=admit))
    assert failed[3:] == ("refused: that incarnation is over", 41)
    assert [hello.origin for hello in asked] == ["n2.1"]


async def test_the_dialling_owner_may_refuse_as_well(world: World) -> None:
    two, second = world.mesh("n2.1", options=Options(admit=lambda hello: Refusal("not with you")))
    assert (await refused(world, two, second))[3] == "refused: not with you"


async def test_an_owner_who_fails_to_decide_admits_nobody(world: World) -> None:
    def admit(hello: Hello) -> Refusal:
        raise RuntimeError("undecided")

    two, second = world.mesh("n2.1")
    assert (await refused(world, two, second, Options(admit=admit)))[3].startswith("refused: ")


@pytest.mark.parametrize("key", [b"", b"short", bytes(31)])
async def test_a_short_key_makes_no_mesh(world: World, key: bytes) -> None:
    with pytest.raises(ValueError, match="at least 32"):
        world.mesh("n1.1", key=key)


# ----------------------------------------------------------------------------------------------------------- messages


async def test_messages_arrive_in_order_and_as_they_were(world: World) -> None:
    one, first, two, second = await world.pair()
    for number in range(500):
        assert one.send("n2.1", want(number))
        assert two.send("n1.1", want(-number))
        if number % 50 == 0:
            await asyncio.sleep(0)
    await first.until(lambda: len(first.messages()) == 500)
    await second.until(lambda: len(second.messages()) == 500)
    assert second.messages() == [want(number) for number in range(500)]
    assert first.messages() == [want(-number) for number in range(500)]


async def test_one_turn_is_one_frame(world: World) -> None:
    one, _, two, second = await world.pair()
    for number in range(100):
        one.send("n2.1", want(number))
    await second.until(lambda: len(second.messages()) == 100)
    assert one.traffic.frames_out == two.traffic.frames_in == 1
    assert one.traffic.messages_out == two.traffic.messages_in == 100


async def test_without_a_link_a_message_is_lost_without_a_word(world: World) -> None:
    one, first, _, _ = await world.pair()
    assert one.send("n3.1", want(1)) is False
    assert one.traffic.lost == 1
    assert first.told == [("up", "n2.1")]


async def test_what_is_no_message_is_a_type_error(world: World) -> None:
    one, *_ = await world.pair()
    beyond: Any = object()
    for wrong in (("rooms", "n1.1", 1), None, Want("rooms", "n1.1", beyond)):
        with pytest.raises(TypeError):
            one.send("n2.1", wrong)


async def test_a_message_beyond_the_frame_is_dropped_and_told(world: World) -> None:
    one, first, _, second = await world.pair(max_frame=10_000)
    assert one.send("n2.1", Resolved("rooms", "x" * 10_001, "n1.1.1")) is False
    assert one.send("n2.1", want(1)) is True
    assert (await first.until_told("bad"))[1].startswith("too_large: ")
    await second.until_told("got")
    assert first.up == {"n2.1"}


async def test_what_does_not_fit_into_one_frame_leaves_in_several(world: World) -> None:
    one, _, _, second = await world.pair(max_frame=10_000)
    sent = [Resolved("rooms", "x" * 3_000, f"n1.1.{number}") for number in range(20)]
    for message in sent:
        assert one.send("n2.1", message)
    await second.until(lambda: len(second.messages()) == 20)
    assert second.messages() == sent
    assert one.traffic.frames_out == 7


async def test_a_frame_that_is_not_well_formed_costs_the_link(world: World) -> None:
    one, first, _, second = await world.pair()
    one._links["n2.1"].wire.send(b"\x92\x01\x91\x92\x63\x90")
    bad = await second.until_told("bad")
    assert bad == ("n1.1", "bad_frame: message 0 of the frame has the number 99, which this lane does not know")
    assert (await second.until_told("down"))[1].startswith("bad_frame: ")
    assert (await first.until_told("down"))[1].startswith("bad_frame: ")


async def test_a_frame_beyond_what_is_allowed_costs_the_link(world: World) -> None:
    one, first, _, second = await world.pair(max_frame=10_000)
    one._links["n2.1"].wire.send(bytes(10_001))
    assert (await second.until_told("down"))[1].startswith("too_large: ")
    await first.until_told("down")


async def test_a_wrong_type_deep_in_a_message_costs_the_link(world: World) -> None:
    one, first, _, second = await world.pair()
    assert one.send("n2.1", Delta("rooms", "n1.1", 0, 1, [["lobby", "no registration"]]))
    assert "value under 'lobby'" in (await second.until_told("bad"))[1]
    await first.until_told("down")


async def test_answering_from_within_received_is_fine(world: World) -> None:
    one, first, two, second = await world.pair()
    second.on_received = two.send
    for number in range(10):
        one.send("n2.1", want(number))
    await first.until(lambda: len(first.messages()) == 10)
    assert first.messages() == [want(number) for number in range(10)]


async def test_an_owner_who_fails_on_a_message_gets_the_next(world: World) -> None:
    one, _, _, second = await world.pair()

    def fail(origin: str, message: Any) -> None:
        raise RuntimeError("the owner is wrong")

    second.on_received = fail
    one.send("n2.1", want(1))
    one.send("n2.1", want(2))
    await second.until(lambda: len(second.messages()) == 2)
    assert second.up == {"n1.1"}


# ---------------------------------------------------------------------------------------------------------------- ends


async def test_disconnecting_sends_what_was_queued_and_then_the_reason(world: World) -> None:
    one, first, _, second = await world.pair()
    one.send("n2.1", want(1))
    first.inside = True
    one.disconnect("n2.1", "that incarnation is over")
    first.inside = False
    assert one.links() == set()
    assert one.send("n2.1", want(2)) is False
    await first.until_told("down")
    await second.until_told("down")
    assert first.of("down") == [("n2.1", "closed: that incarnation is over")]
    assert second.told[1:] == [("got", "n1.1", want(1)), ("down", "n1.1", "closed: that incarnation is over")]


async def test_nothing_is_received_after_disconnect(world: World) -> None:
    one, _, two, second = await world.pair()
    second.on_received = lambda origin, message: two.disconnect(origin, "one is enough")
    for number in range(10):
        one.send("n2.1", want(number))
    await second.until_told("down")
    assert second.messages() == [want(0)]


async def test_a_broken_link_goes_down_on_both_sides_and_can_be_made_again(world: World) -> None:
    one, first, two, second = await world.pair()
    for round_ in (1, 2, 3):
        world.sever("n1.1", "n2.1")
        assert (await first.until_told("down", round_))[1].startswith("lost: ")
        assert (await second.until_told("down", round_))[1].startswith("lost: ")
        dialler, peer = ((one, two), (two, one))[round_ % 2]
        dialler.connect(peer.identity.url, peer.identity.origin)
        await first.until_told("up", round_ + 1)
        await second.until_told("up", round_ + 1)
    one.send("n2.1", want(7))
    await second.until_told("got")


async def test_a_peer_that_does_not_read_loses_the_link_before_memory_is_lost(world: World) -> None:
    one, first, _, _ = await world.pair(max_outbox=200_000)
    world.hold("n1.1", "n2.1")
    message = Resolved("rooms", "x" * 10_000, "n1.1.1")
    for _ in range(5_000):
        first.inside = True
        one.send("n2.1", message)
        first.inside = False
        await asyncio.sleep(0)
        if not one.links():
            break
    assert (await first.until_told("down"))[1].startswith("outbox_full: ")
    assert one.traffic.messages_out < 5_000


async def test_one_turn_cannot_fill_memory_either(world: World) -> None:
    one, first, _, _ = await world.pair(max_outbox=200_000)
    message = Resolved("rooms", "x" * 10_000, "n1.1.1")
    first.inside = True
    sent = sum(one.send("n2.1", message) for _ in range(100))
    first.inside = False
    assert sent == 20
    assert (await first.until_told("down"))[1].startswith("outbox_full: ")


async def test_silence_ends_a_link_and_pings_keep_a_quiet_one(world: World) -> None:
    timing = Options(ping_interval=0.03, idle_timeout=0.2)
    one, first = world.mesh("n1.1", options=timing)
    url = await one.listen("127.0.0.1", 0)
    for origin in ("n2.1", "n3.1"):
        mesh, owner = world.mesh(origin)
        mesh.connect(url, "n1.1")
        await owner.until_told("up")
    await first.until_told("up", 2)
    world.hold("n1.1", "n3.1")
    down = await first.until_told("down")
    assert down[0] == "n3.1"
    assert down[1].startswith("silent: ")
    assert one.links() == {"n2.1"}


async def test_closing_ends_everything_once(world: World) -> None:
    one, first, _, second = await world.pair()
    three, _ = world.mesh("n3.1")
    url = await three.listen("127.0.0.1", 0)
    one.send("n2.1", want(1))
    one.connect(url, "n3.1")
    await one.close()
    await one.close()
    assert one.links() == set()
    await second.until_told("down")
    assert first.of("down") == [("n2.1", "closed: n1.1 closed its mesh")]
    assert [failed[:3] for failed in first.of("failed")] == [(url, "n3.1", False)]
    assert [what[0] for what in second.told] == ["up", "got", "down"]
    told = len(first.told)
    one.connect(url, "n3.1")
    assert one.send("n2.1", want(2)) is False
    assert len(first.told) == told


async def test_options_are_values(world: World) -> None:
    assert dataclasses.replace(Options(), max_frame=1).max_frame == 1
    assert Options().http("/healthz") is None
