"""Frames: what goes in comes out, and whatever else comes in is a `CodecError`."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.core.directory import DEAD, DEFINITION, ENDED, ENDED_KEPT, NODE, SUSPECT, VIEW, NodeRecord, ViewRecord
from registry.core.messages import KINDS, Delta, Message, Relay, Relayed, SummaryHash, Want
from registry.core.names import GONE, GROUP, RUNNING, Registration, Spec
from registry.mesh.codec import FRAME_OVERHEAD, Codec, CodecError

CODEC = Codec(KINDS)

numbers = st.integers(0, 2**53)
texts = st.text(max_size=12)
origins = st.from_regex(r"n[1-9]\.[1-9][0-9]{0,12}", fullmatch=True)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | texts
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
specs = st.builds(Spec, texts, st.binary(max_size=8), texts, st.binary(max_size=8))
registrations = st.builds(
    Registration, numbers, numbers, texts, texts, numbers, numbers, numbers, st.none() | specs, texts
)
nodes = st.builds(
    NodeRecord,
    texts,
    texts,
    texts,
    st.lists(texts, max_size=3),
    st.dictionaries(texts, texts, max_size=3),
    st.floats(allow_nan=False),
    numbers,
    numbers,
    numbers,
)
views = st.builds(
    ViewRecord,
    st.binary(max_size=8),
    st.dictionaries(texts, st.dictionaries(origins, numbers, max_size=3), max_size=3),
)
marks = st.sets(numbers, min_size=1, max_size=ENDED_KEPT).map(lambda found: tuple(sorted(found)))
unknown = st.tuples(st.just("a kind of tomorrow"), texts)

#: Every kind of entry: its key, and the value that belongs under it.
entries = st.one_of(
    st.tuples(texts, registrations),
    st.tuples(st.tuples(st.just(GROUP), texts, texts), texts),
    st.tuples(st.tuples(st.sampled_from([GONE, SUSPECT, DEAD]), texts), numbers),
    st.tuples(st.tuples(st.just(ENDED), texts), marks),
    st.tuples(st.just(NODE), nodes),
    st.tuples(st.just(VIEW), views),
    st.tuples(st.tuples(st.just(DEFINITION), texts), plain),
    st.tuples(unknown, plain),
)
changes = st.lists(entries.map(list) | entries.map(lambda entry: [entry[0]]), max_size=5)

FIELDS: dict[type, st.SearchStrategy[Any]] = {Spec: specs}
DELTAS = st.builds(Delta, texts, origins, numbers, numbers, changes, numbers, numbers)


ENVELOPES = (Relay, Relayed)


def messages_of(kind: type[Message]) -> st.SearchStrategy[Any]:
    if kind in ENVELOPES:
        inner = st.sampled_from([kind for kind in KINDS.values() if kind not in ENVELOPES]).flatmap(messages_of)
        return st.builds(kind, origins, inner)
    return DELTAS if kind is Delta else st.builds(kind)


for _spec in FIELDS:
    st.register_type_strategy(_spec, FIELDS[_spec])
st.register_type_strategy(int, st.integers(-(2**63), 2**64 - 1))

messages = st.one_of(*(messages_of(kind) for kind in KINDS.values()))


def frame_of(*sent: Any) -> bytes:
    return CODEC.frame([CODEC.encode(message) for message in sent])


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_kind_of_message_comes_back_as_it_was(kind: type[Message]) -> None:
    @settings(max_examples=40)
    @given(messages_of(kind))
    def comes_back(message: Message) -> None:
        (back,) = CODEC.decode(frame_of(message))
        assert back == message
        assert repr(back) == repr(message)
        assert type(back) is kind

    comes_back()


@settings(max_examples=40)
@given(st.lists(messages, max_size=40))
def test_a_frame_keeps_its_messages_in_order(sent: list[Message]) -> None:
    frame = frame_of(*sent)
    assert CODEC.decode(frame) == sent
    assert len(frame) <= sum(len(CODEC.encode(message)) for message in sent) + FRAME_OVERHEAD


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_a_frame_of_any_length(count: int) -> None:
    want = Want("rooms", "n1.1", 7)
    assert len(CODEC.decode(CODEC.frame([CODEC.encode(want)] * count))) == count


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_codec_error_or_messages(frame: bytes) -> None:
    try:
        decoded = CODEC.decode(frame)
    except CodecError:
        return
    assert all(type(message) in KINDS.values() for message in decoded)


@given(messages, st.data())
def test_a_flipped_byte_is_a_codec_error_or_messages(message: Message, data: st.DataObject) -> None:
    frame = bytearray(frame_of(message))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    test_arbitrary_bytes_are_a_codec_error_or_messages.hypothesis.inner_test(bytes(frame))  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ENVELOPES, ids=lambda kind: kind.__name__)
def test_nothing_is_put_into_two_envelopes(kind: type[Message]) -> None:
    relayed = Relayed("n1.1", Want("rooms", "n1.1", 7))
    with pytest.raises(TypeError, match=f"{kind.__name__} holds no Relayed"):
        CODEC.encode(kind("n2.1", relayed))
    twice = msgspec.msgpack.encode([26, ["n1.1", [26, ["n2.1", [5, ["rooms", "n1.1", 7]]]]]])
    with pytest.raises(CodecError, match="message 0 of the frame is no Relayed: a message with the number 26 has no"):
        CODEC.decode(CODEC.frame([twice]))


def test_a_bad_message_in_an_envelope_is_named() -> None:
    bad = msgspec.msgpack.encode([25, ["n1.1", [5, ["rooms", "n1.1", "seven"]]]])
    with pytest.raises(CodecError, match="message 0 of the frame is no Relay: Expected `int`, got `str`"):
        CODEC.decode(CODEC.frame([bad]))


@given(messages, st.data())
def test_a_cut_frame_is_a_codec_error(message: Message, data: st.DataObject) -> None:
    frame = frame_of(message)
    with pytest.raises(CodecError):
        CODEC.decode(frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(st.recursive(st.none() | numbers | texts | st.binary(), lambda inner: st.lists(inner, max_size=5)))
def test_any_value_in_a_frame_is_a_codec_error_or_messages(value: Any) -> None:
    for number in KINDS:
        try:
            CODEC.decode(msgspec.msgpack.encode([1, [[number, value]]]))
        except CodecError:
            continue


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([2, []], "version 2; ours is 1"),
        ([1, [[99, []]]], "message 0 of the frame has the number 99"),
        ([1, [[4, [b"", 1, 2]], [5, ["rooms", "n1.1", "x"]]]], "message 1 of the frame is no Want: Expected `int`"),
        ([1, [[5, ["rooms", "n1.1", 1, 2]]]], "no Want: Expected `array` of length 3"),
        ([1, [[5, ["rooms", "n1.1", True]]]], "no Want: Expected `int`, got `bool`"),
        ([1, [[1, ["", "n1.1", 0, 1, [["lobby", 5]]]]]], "value under 'lobby': Expected `array`"),
        ([1, [[1, ["", "n1.1", 0, 1, [[["gone", "x"], "y"]]]]]], "value under ('gone', 'x'): Expected `int`"),
        (
            [1, [[1, ["", "n1.1", 0, 1, [[["ended", "n2"], 7]]]]]],
            "value under ('ended', 'n2'): Expected `array`, got `int`",
        ),
        ([1, [[1, ["", "n1.1", 0, 1, [[["ended", "n2"], ["7"]]]]]]], "value under ('ended', 'n2'): Expected `int`"),
        ([1, [[1, ["", "n1.1", 0, 1, [[["ended", "n2"], []]]]]]], "Expected `array` of length >= 1"),
        ([1, [[1, ["", "n1.1", 0, 1, [[["ended", "n2"], [*range(65)]]]]]]], "Expected `array` of length <= 64"),
        ([1, [[1, ["", "n1.1", 0, 1, [[["ended", "n2"], [5, 5]]]]]]], "these numbers do not ascend"),
        ([1, [[1, ["", "n1.1", 0, 1, [[["ended", "n2"], [9, 5]]]]]]], "these numbers do not ascend"),
        ([1, [[1, ["", "n1.1", 0, 1, [[["group", "x"], "y"]]]]]], "a key of this kind has 3 parts, not 2"),
        ([1, [[1, ["", "n1.1", 0, 1, [["a", [], 3]]]]]], "Expected `array` of length 1 to 2"),
        ([1, [[1, ["", "n1.1", 0, 1, [[7, 1]]]]]], "Expected `str | array`, got `int`"),
        ([1, [[1, ["", "n1.1", 0, 1, [[["x"], msgspec.msgpack.Ext(5, b"")]]]]]], "Ext has no place in an entry"),
        ("no frame", "the frame is not [version, messages]"),
    ],
)
def test_a_codec_error_names_the_fault(value: Any, fault: str) -> None:
    with pytest.raises(CodecError) as error:
        CODEC.decode(msgspec.msgpack.encode(value))
    assert fault in str(error.value)


def test_nesting_without_end_is_a_codec_error() -> None:
    deep = b"\x91" * 200_000 + b"\xc0"
    key = msgspec.msgpack.encode(["a kind of tomorrow"])
    delta = b"\x92\x01\x95" + b"\xa0\xa0\x00\x01" + b"\x91\x92" + key + deep
    for frame in (deep, b"\x92\x01\x91" + delta, b"\x92\x01\x91\x92\x05" + deep):
        with pytest.raises(CodecError):
            CODEC.decode(frame)


def test_lists_and_tuples_in_a_value_of_unknown_meaning_are_tuples_on_every_node() -> None:
    loose = Delta("", "n1.1", 0, 1, [[("definition", "rooms"), ["rooms", {"modules": ["a", "b"]}]]])
    (back,) = CODEC.decode(frame_of(loose))
    assert isinstance(back, Delta)
    assert back.changes == [[("definition", "rooms"), ("rooms", {"modules": ("a", "b")})]]


def test_a_frame_may_come_in_any_buffer() -> None:
    beat = SummaryHash(b"x", 1, 2)
    frame = frame_of(beat)
    assert CODEC.decode(bytearray(frame)) == CODEC.decode(memoryview(frame)) == [beat]


class Ask(NamedTuple):
    """A message of another lane, with a default."""

    id: int
    words: tuple[str, ...] = ()


def test_another_lane_has_a_table_of_its_own() -> None:
    codec = Codec({0: Ask})
    assert codec.decode(codec.frame([codec.encode(Ask(1, ("a",)))])) == [Ask(1, ("a",))]
    assert codec.decode(msgspec.msgpack.encode([1, [[0, [2]]]])) == [Ask(2)]
    with pytest.raises(TypeError, match="Want is no message of this lane"):
        codec.encode(Want("rooms", "n1.1", 1))


def test_a_number_beyond_a_byte_makes_no_codec() -> None:
    with pytest.raises(ValueError, match="0 to 127"):
        Codec({128: Ask})


def test_a_registration_keeps_its_type_and_its_spec() -> None:
    entry = Registration(1, 2, "c", RUNNING, 1, 0, 3, Spec("m:f"))
    (back,) = CODEC.decode(frame_of(Delta("rooms", "n1.1", 0, 1, [["lobby", entry], [("group", "g", "p"), "lobby"]])))
    assert isinstance(back, Delta)
    value = back.changes[0][1]
    assert type(value) is Registration
    assert type(value.spec) is Spec
    assert hash(value) == hash(entry)
