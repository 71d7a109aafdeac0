"""Do frames survive the round trip, and is everything that is no message said so, in time?"""

from __future__ import annotations

import re
import time
from collections import Counter, OrderedDict
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llmagentos.abi import wire
from llmagentos.abi.jobs import JobResult
from llmagentos.abi.values import MAX_VALUES, exceed
from llmagentos.abi.wire import MalformedError, Message, decode, encode

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
) | _TEXT
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_BODIES = st.dictionaries(_TEXT, _VALUES, max_size=5)
_MESSAGES = st.builds(
    Message,
    kind=_TEXT.filter(bool),
    id=st.integers(0, 2**63 - 1),
    name=_TEXT,
    session=_TEXT,
    body=_BODIES,
    buffers=st.lists(st.binary(max_size=50), max_size=wire.MAX_BUFFERS).map(tuple),
)

_ODD_KEYS = _TEXT | st.integers() | st.binary(max_size=4) | st.none()
_ODD_LEAVES = _LEAVES | st.binary(max_size=9) | st.builds(msgpack.ExtType, st.just(5), st.binary())
_ODD = st.recursive(
    _ODD_LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ODD_KEYS, inner, max_size=4),
    max_leaves=8,
)
_HEADERS = st.fixed_dictionaries(
    {}, optional={key: _ODD | st.just(1) | st.just("call") for key in ("v", "t", "id", "n", "s")}
)


def _packed(value: Any) -> bytes | None:
    try:
        return msgpack.packb(value)
    except (OverflowError, ValueError, TypeError):
        return None


def _decoded(frames: list[bytes]) -> Message | None:
    """None for what is told to be malformed; any other error is let through."""
    try:
        return decode(frames)
    except MalformedError as error:
        told = (error.code, 0 <= error.id < 2**63, bool(error.message), bool(error.hint))
    assert told == ("EPROTO", True, True, True)
    return None


def _header(**fields: Any) -> bytes:
    return wire.pack({"v": 1, "t": "call", "id": 7, "n": "sys.ping", **fields})


def _nested(depth: int) -> bytes:
    return b"\x81\xa1a" * depth + b"\xc0"


@settings(deadline=None)
@given(_MESSAGES)
def test_does_every_message_survive_the_round_trip(message: Message) -> None:
    assert decode(encode(message)) == message


@settings(deadline=None, max_examples=300)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_do_arbitrary_bytes_raise_nothing_but_malformed(frames: list[bytes]) -> None:
    message = _decoded(frames)
    assert message is None or isinstance(message, Message)


@settings(deadline=None, max_examples=300)
@given(_HEADERS | _ODD, _ODD, st.integers(0, 20))
def test_do_arbitrary_structures_raise_nothing_but_malformed(
    header: Any, body: Any, buffers: int
) -> None:
    first, second = _packed(header), _packed(body)
    if first is None or second is None:
        return
    message = _decoded([first, second, *[b""] * buffers])
    if message is not None:
        assert set(header) <= {"v", "t", "id", "n", "s"}
        assert isinstance(message.body, dict)
        assert buffers <= wire.MAX_BUFFERS


@settings(deadline=None, max_examples=200)
@given(_MESSAGES, st.data())
def test_does_a_flipped_or_cut_byte_raise_nothing_but_malformed(
    message: Message, data: Any
) -> None:
    frames = encode(message)
    which = data.draw(st.integers(0, 1))
    frame = bytearray(frames[which])
    place = data.draw(st.integers(0, len(frame) - 1))
    if data.draw(st.booleans()):
        frame[place] ^= data.draw(st.integers(1, 255))
    else:
        del frame[place:]
    frames[which] = bytes(frame)
    _decoded(frames)


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([], "has 0"),
        ([_header()], "has 1"),
        ([b"", b""], "the header is not msgpack"),
        ([_header(), b""], "the body is not msgpack"),
        ([_header(), b"\xc0"], "the body is not a map"),
        ([wire.pack([1]), b"\x80"], "the header is not a map"),
        ([_header(v=2), b"\x80"], "speaks version 1"),
        ([_header(v="1"), b"\x80"], "speaks version 1"),
        ([_header(id=-1), b"\x80"], "id is not a number"),
        ([_header(id=2**63), b"\x80"], "id is not a number"),
        ([_header(id=True), b"\x80"], "id is not a number"),
        ([_header(id=1.0), b"\x80"], "id is not a number"),
        ([_header(t=""), b"\x80"], "has no t"),
        ([_header(t=5), b"\x80"], "must be strings"),
        ([_header(n=[]), b"\x80"], "must be strings"),
        ([_header(x=1), b"\x80"], "unknown keys: 'x'"),
        ([_header(), msgpack.packb({1: 2})], "not msgpack"),
        ([_header(), msgpack.packb({b"a": 2})], "not a string"),
        ([_header(), msgpack.packb({"a": msgpack.ExtType(5, b"")})], "extension type 5"),
        ([_header(), msgpack.packb({"a": msgpack.Timestamp(0)})], "extension type -1"),
        ([_header(), _nested(1000)], "nested more than 32 deep"),
        ([_header(), b"\x80\x80"], "not msgpack"),
        ([_header(), b"\x81\xa1a\xa2\xff\xff"], "not msgpack"),
        ([_header(), b"\xdf\xff\xff\xff\xff"], "not msgpack"),
        ([_header(s="x" * wire.MAX_HEADER), b"\x80"], "the most is 4096"),
        ([_header(), b"\x80" + b"\0" * wire.MAX_BODY], "the most is 4194304"),
        ([_header(), b"\x80", *[b""] * (wire.MAX_BUFFERS + 1)], "17 buffers"),
    ],
)
def test_is_what_is_no_message_told_so_at_once(frames: list[bytes], says: str) -> None:
    begun = time.thread_time()
    with pytest.raises(MalformedError) as caught:
        decode(frames)
    assert time.thread_time() - begun < 0.5
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("body", [b"", b"\xc0", _nested(40), b"\xc1"])
def test_is_the_id_kept_when_only_the_body_is_broken(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        decode([_header(id=99), body])
    assert caught.value.id == 99


def test_are_the_limits_themselves_still_allowed() -> None:
    text = "x" * (wire.MAX_BODY - 10)
    deep = _nested(wire.MAX_DEPTH)
    assert decode([_header(), wire.pack({"t": text})]).body == {"t": text}
    assert decode([_header(), deep]).body
    with pytest.raises(MalformedError):
        decode([_header(), _nested(wire.MAX_DEPTH + 1)])
    assert len(decode([_header(), b"\x80", *[b""] * wire.MAX_BUFFERS]).buffers) == 16


def test_is_a_body_of_a_million_values_judged_quickly() -> None:
    body = wire.pack({"a": [{}] * 1_000_000})
    begun = time.thread_time()
    assert decode([_header(), body]).body
    assert time.thread_time() - begun < 3


# -- how many values -----------------------------------------------------------------------------


def _count(value: Any) -> int:
    """Each key of a map is one, too."""
    if isinstance(value, dict):
        return 1 + sum(_count(key) + _count(part) for key, part in value.items())
    return 1 + (sum(map(_count, value)) if isinstance(value, list) else 0)


_LARGE = [
    [1.5] * 700,
    [[1.5] * 70, 1, [2.5] * 64, "a", {"b": [3.5] * 65}],
    [b"x" * 300, "y" * 300, b"x" * 70_000, "y" * 70_000, [0] * 20, [0] * 70_000],
    {str(number): 2**40 for number in range(20)},
    {str(number): -300 for number in range(70_000)},
]


@settings(deadline=None, max_examples=300)
@given(_ODD, st.integers(-2, 2))
def test_are_values_counted_right(value: Any, more: int) -> None:
    _check_count(value, more)


@pytest.mark.parametrize("more", [-1, 0])
@pytest.mark.parametrize("value", _LARGE)
def test_are_many_values_counted_right(value: Any, more: int) -> None:
    _check_count(value, more)


def _check_count(value: Any, more: int) -> None:
    packed = _packed(value)
    if packed is not None:
        assert exceed(packed, _count(value) + more) == (more < 0)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.integers(0, 50))
def test_does_counting_end_whatever_it_is_given(body: bytes, most: int) -> None:
    exceed(body, most)


_MANY = [
    wire.pack({"a": [1] * MAX_VALUES}),
    wire.pack({"a": [[]] * MAX_VALUES}),
    wire.pack({"a": {str(n): 1 for n in range(MAX_VALUES // 2)}}),
    wire.pack({"a": [[1, [1] * 999] for _ in range(MAX_VALUES // 1000 + 1)]}),
    b"\x81\xa1a\xdd\xff\xff\xff\xff" + b"\1" * MAX_VALUES,
]


@pytest.mark.parametrize("body", _MANY)
def test_are_too_many_values_refused_before_any_is_made(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack, unpacked = msgpack.unpackb, []

    def spy(frame: bytes, **more: Any) -> Any:
        unpacked.append(frame)
        return unpack(frame, **more)

    monkeypatch.setattr(msgpack, "unpackb", spy)
    with pytest.raises(MalformedError, match="more than 65,536 values") as caught:
        decode([_header(id=5), body], MAX_VALUES)
    assert (caught.value.id, caught.value.hint) == (5, wire.FEWER)
    assert unpacked == [_header(id=5)]


def test_are_as_many_values_as_there_may_be_taken() -> None:
    body = {"a": [1] * (MAX_VALUES - 3)}
    assert decode([_header(), wire.pack(body)], MAX_VALUES).body == body
    vectors = {"vectors": [[1.5] * 384] * 1024}
    assert decode([_header(), wire.pack(vectors)], wire.MAX_DRIVER_VALUES).body == vectors


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1] * MAX_VALUES, "more than 65,536 values"),
        ({"a": [float("nan")]}, "not finite"),
        ([2**53 + 1], "larger than 2^53"),
        ([[-(2**53) - 1]], "larger than 2^53"),
        ({"a": [{1: 2}]}, "a key that is not a string"),
        ({"a": (1, 2)}, "not a valid JSON value"),
        (b"x", "not a valid JSON value"),
        (msgpack.unpackb(_nested(25)), "nested more than 24 deep"),
    ],
)
def test_is_what_json_can_not_say_no_content(content: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        JobResult(job=1, content=content)


class _Word(StrEnum):
    GOOD = "good"


class _Number(float):
    """As numpy's are."""


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (_Word.GOOD, "good"),
        ({_Word.GOOD: [HTTPStatus.OK]}, {"good": [200]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        ([OrderedDict(a=_Number(1.5))], [{"a": 1.5}]),
    ],
)
def test_is_what_is_a_kind_of_a_json_value_sent_as_one(content: Any, sent: Any) -> None:
    told = JobResult(job=1, content=content).model_dump()["content"]
    assert told == sent
    assert repr(told) == repr(sent), "of the plain type"


@pytest.mark.parametrize("content", [[_Word.GOOD, {1}], OrderedDict(a=(1,)), Counter([1])])
def test_is_what_is_no_json_refused_beside_what_is_a_kind_of_it(content: Any) -> None:
    with pytest.raises(ValidationError, match="not a valid JSON value"):
        JobResult(job=1, content=content)


_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON)
def test_is_all_that_json_can_say_a_content(value: Any) -> None:
    assert JobResult(job=1, content=value).content == value
