"""Mutual proof of the cluster key: what an attacker can record, alter or send back is worth nothing to him."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.mesh.handshake import MAX_HANDSHAKE_FRAME, Acceptor, Dialler, Established, HandshakeFailed, Terms
from registry.mesh.protocol import PROTOCOL_VERSION, Hello, Refusal

KEY = bytes(range(32))
NOW = 1_763_906_329_000_000


def hello(origin: str, lane: str = "control", clock: int = NOW) -> Hello:
    return Hello(PROTOCOL_VERSION, origin, "agent", lane, clock, f"ws://{origin}")


def terms(origin: str, key: bytes = KEY, decide: Callable[..., Any] | None = None, **own: Any) -> Terms:
    mine = hello(origin, **own)
    return Terms(key, lambda: mine, lambda: mine.clock, 5.0, decide or (lambda *_: 7))


def sides(**dialler: Any) -> tuple[Acceptor, Dialler]:
    return Acceptor(terms("n1.1")), Dialler(terms("n2.1", **dialler), lambda origin: b"lost")


def words(acceptor: Acceptor, dialler: Dialler) -> tuple[bytes, bytes, bytes, bytes]:
    """A whole handshake: what each said, in turn."""
    challenge = acceptor.open()
    response = dialler.receive(challenge)
    assert isinstance(response, bytes)
    accepted = acceptor.receive(response)
    assert isinstance(accepted, bytes)
    assert isinstance(dialler.receive(accepted), Established)
    return challenge, response, accepted, dialler.farewell


def test_both_sides_end_with_the_same_link_and_each_others_hello() -> None:
    acceptor, dialler = sides()
    *_, begin = words(acceptor, dialler)
    done = acceptor.receive(begin)
    assert isinstance(done, Established)
    assert done.hello == hello("n2.1")
    assert dialler.peer == hello("n1.1")
    assert done.link == dialler.link
    assert done.number == 7


def test_no_word_of_it_holds_the_key_and_all_are_small() -> None:
    for frame in words(*sides()):
        assert KEY not in frame
        assert len(frame) < MAX_HANDSHAKE_FRAME


def test_the_deciders_are_asked_after_the_proof_with_the_same_link() -> None:
    asked: list[tuple[Any, ...]] = []

    def decide(*question: Any) -> int:
        asked.append(question)
        return 3

    acceptor = Acceptor(terms("n1.1", decide=decide))
    dialler = Dialler(terms("n2.1", decide=decide), lambda origin: b"lost " + origin.encode())
    words(acceptor, dialler)
    assert asked == [(hello("n2.1"), acceptor.link, b"lost n1.1"), (hello("n1.1"), acceptor.link, b"")]


def fails(receive: Callable[[bytes], object], frame: bytes) -> HandshakeFailed:
    with pytest.raises(HandshakeFailed) as failed:
        receive(frame)
    return failed.value


def test_a_dialler_with_another_key_is_refused_before_anything_is_decided() -> None:
    def decide(*_: Any) -> int:
        raise AssertionError("asked about a stranger")

    acceptor = Acceptor(terms("n1.1", decide=decide))
    dialler = Dialler(terms("n2.1", key=KEY[::-1]), lambda origin: b"")
    response = dialler.receive(acceptor.open())
    assert isinstance(response, bytes)
    failed = fails(acceptor.receive, response)
    assert failed.reason.startswith("cluster_key: ")
    told = fails(dialler.receive, failed.farewell)
    assert told.by_peer
    assert told.reason == failed.reason


def test_an_acceptor_with_another_key_is_refused() -> None:
    acceptor, dialler = sides()
    words_of_a_stranger = Acceptor(terms("n1.1", key=KEY[::-1]))
    words_of_a_stranger.my_nonce = acceptor.my_nonce
    response = dialler.receive(acceptor.open())
    assert isinstance(response, bytes)
    failed = fails(words_of_a_stranger.receive, response)
    assert failed.reason.startswith("cluster_key: ")
    forged = msgspec.msgpack.encode((1, 3, (7, bytes(32))))
    assert fails(dialler.receive, forged).reason.startswith("cluster_key: ")


def test_a_recorded_dialler_is_worth_nothing_to_another_acceptor() -> None:
    _, response, _, begin = words(*sides())
    again = Acceptor(terms("n1.1"))
    again.open()
    assert fails(again.receive, response).reason.startswith("cluster_key: ")
    third = Acceptor(terms("n1.1"))
    assert fails(third.receive, begin).reason.startswith("bad_frame: ")


def test_a_recorded_acceptor_is_worth_nothing_to_another_dialler() -> None:
    challenge, _, accepted, _ = words(*sides())
    again = Dialler(terms("n2.1"), lambda origin: b"")
    assert isinstance(again.receive(challenge), bytes)
    assert fails(again.receive, accepted).reason.startswith("cluster_key: ")


def test_what_one_side_said_cannot_be_reflected_at_it() -> None:
    acceptor, dialler = sides()
    challenge = acceptor.open()
    response = dialler.receive(challenge)
    assert isinstance(response, bytes)
    accepted = acceptor.receive(response)
    assert isinstance(accepted, bytes)
    number, proof = msgspec.msgpack.decode(accepted)[2]
    reflected = msgspec.msgpack.encode((1, 4, (number, proof)))
    assert fails(acceptor.receive, reflected).reason.startswith("cluster_key: ")
    own = msgspec.msgpack.decode(response)[2][3]
    assert fails(dialler.receive, msgspec.msgpack.encode((1, 3, (7, own)))).reason.startswith("cluster_key: ")


def test_an_oracle_that_answers_for_the_attacker_must_be_of_the_same_part() -> None:
    """Reflection through a second connection: the victim's own challenge is put to the victim as dialler elsewhere."""
    victim = Acceptor(terms("n1.1"))
    oracle = Dialler(terms("n1.1"), lambda origin: b"")
    assert fails(oracle.receive, victim.open()).reason.startswith("self: ")


@given(st.data())
def test_an_altered_word_never_makes_a_link_of_another_meaning(data: st.DataObject) -> None:
    acceptor, dialler = sides()
    spoken: list[bytes] = []

    def pass_on(frame: bytes, turn: int) -> bytes:
        spoken.append(frame)
        if turn != altered:
            return frame
        changed = bytearray(frame)
        changed[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
        return bytes(changed)

    altered = data.draw(st.integers(0, 3))
    try:
        response = dialler.receive(pass_on(acceptor.open(), 0))
        accepted = acceptor.receive(pass_on(response, 1))  # type: ignore[arg-type]
        dialler.receive(pass_on(accepted, 2))  # type: ignore[arg-type]
        done = acceptor.receive(pass_on(dialler.farewell, 3))
    except HandshakeFailed:
        return
    assert isinstance(done, Established)
    assert (done.hello, dialler.peer, done.number) == (hello("n2.1"), hello("n1.1"), 7)


@pytest.mark.parametrize("seconds", [-5.1, 5.1])
def test_a_skewed_clock_is_found_by_either_side(seconds: float) -> None:
    skewed = NOW + round(seconds * 1e6)
    acceptor, dialler = sides(clock=skewed)
    response = dialler.receive(acceptor.open())
    assert isinstance(response, bytes)
    failed = fails(acceptor.receive, response)
    assert failed.reason.startswith("clock_skew: the clock of n2.1 is 5.1 s ")
    lax = Acceptor(dataclasses.replace(terms("n1.1"), max_clock_skew=60.0))
    strict = Dialler(terms("n2.1", clock=skewed), lambda origin: b"")
    response = strict.receive(lax.open())
    assert isinstance(response, bytes)
    accepted = lax.receive(response)
    assert isinstance(accepted, bytes)
    assert fails(strict.receive, accepted).reason.startswith("clock_skew: the clock of n1.1 is 5.1 s ")


def test_another_lane_is_refused_at_the_first_word() -> None:
    acceptor, dialler = sides(lane="calls")
    assert fails(dialler.receive, acceptor.open()).reason.startswith("wrong_lane: ")


def test_a_refusal_carries_the_last_incarnation_only_with_a_proof() -> None:
    acceptor = Acceptor(terms("n1.1", decide=lambda *_: Refusal("ended: over", 41)))
    dialler = Dialler(terms("n2.1"), lambda origin: b"")
    response = dialler.receive(acceptor.open())
    assert isinstance(response, bytes)
    failed = fails(acceptor.receive, response)
    assert fails(dialler.receive, failed.farewell).last_incarnation == 41
    forged = msgspec.msgpack.encode((1, 5, ("ended: over", 2**52, bytes(32))))
    told = fails(dialler.receive, forged)
    assert told.by_peer
    assert told.last_incarnation is None


def test_the_words_of_a_refusal_are_the_peers_but_its_code_is_one_of_ours() -> None:
    _, dialler = sides()
    told = fails(dialler.receive, msgspec.msgpack.encode((1, 5, ("x" * 10_000, None, b""))))
    assert told.reason == "refused: " + "x" * 300


def test_another_version_is_refused_whatever_follows() -> None:
    acceptor, _ = sides()
    failed = fails(acceptor.receive, msgspec.msgpack.encode((2, 77, {"anything": "else"})))
    assert failed.reason == "version: the peer speaks version 2; ours is 1"


@pytest.mark.parametrize("origin", ["", "n2", "N2.1", "n2.x", "n2.1.3", "n2." + "1" * 17])
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    acceptor, dialler = sides()
    dialler.mine = dataclasses.replace(dialler.mine, origin=origin)
    response = dialler.receive(acceptor.open())
    assert isinstance(response, bytes)
    assert fails(acceptor.receive, response).reason.startswith("bad_frame: ")


@given(st.binary(max_size=120))
def test_arbitrary_bytes_end_a_handshake_in_order(frame: bytes) -> None:
    acceptor, dialler = sides()
    assert fails(acceptor.receive, frame).reason
    assert fails(dialler.receive, frame).reason


@given(st.integers(0, 6), st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=5))
def test_arbitrary_values_end_a_handshake_in_order(step: int, value: Any) -> None:
    acceptor, dialler = sides()
    try:
        frame = msgspec.msgpack.encode((1, step, value))
    except OverflowError:
        return
    assert fails(acceptor.receive, frame).reason
    assert fails(dialler.receive, frame).reason
