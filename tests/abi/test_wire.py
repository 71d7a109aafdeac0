"""Do frames survive the round trip, and is everything that is no message said so, in time?"""

from __future__ import annotations

import time
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmagentos.abi import wire
from llmagentos.abi.wire import MalformedError, Message, decode, encode
from tests.abi.frames import LEAVES, ODD, TEXT, header, nested, packed

_VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_BODIES = st.dictionaries(TEXT, _VALUES, max_size=5)
_MESSAGES = st.builds(
    Message,
    kind=TEXT.filter(bool),
    id=st.integers(0, 2**63 - 1),
    name=TEXT,
    session=TEXT,
    body=_BODIES,
    buffers=st.lists(st.binary(max_size=50), max_size=wire.MAX_BUFFERS).map(tuple),
)

_HEADERS = st.fixed_dictionaries(
    {}, optional={key: ODD | st.just(1) | st.just("call") for key in ("v", "t", "id", "n", "s")}
)


def _decoded(frames: list[bytes]) -> Message | None:
    """None for what is told to be malformed; any other error is let through."""
    try:
        return decode(frames)
    except MalformedError as error:
        told = (error.code, 0 <= error.id < 2**63, bool(error.message), bool(error.hint))
    assert told == ("EPROTO", True, True, True)
    return None


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
@given(_HEADERS | ODD, ODD, st.integers(0, 20))
def test_do_arbitrary_structures_raise_nothing_but_malformed(
    header: Any, body: Any, buffers: int
) -> None:
    first, second = packed(header), packed(body)
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
        ([header()], "has 1"),
        ([b"", b""], "the header is not msgpack"),
        ([header(), b""], "the body is not msgpack"),
        ([header(), b"\xc0"], "the body is not a map"),
        ([wire.pack([1]), b"\x80"], "the header is not a map"),
        ([header(v=2), b"\x80"], "speaks version 1"),
        ([header(v="1"), b"\x80"], "speaks version 1"),
        ([header(id=-1), b"\x80"], "id is not a number"),
        ([header(id=2**63), b"\x80"], "id is not a number"),
        ([header(id=True), b"\x80"], "id is not a number"),
        ([header(id=1.0), b"\x80"], "id is not a number"),
        ([header(t=""), b"\x80"], "has no t"),
        ([header(t=5), b"\x80"], "must be strings"),
        ([header(n=[]), b"\x80"], "must be strings"),
        ([header(x=1), b"\x80"], "unknown keys: 'x'"),
        ([header(), msgpack.packb({1: 2})], "a map in the body has a key that is no text"),
        ([header(), msgpack.packb({b"a": 2})], "not a string"),
        ([header(), msgpack.packb({"a": msgpack.ExtType(5, b"")})], "extension type 5"),
        ([header(), msgpack.packb({"a": msgpack.Timestamp(0)})], "extension type -1"),
        ([header(), nested(1000)], "nested more than 32 deep"),
        ([header(), b"\x80\x80"], "not msgpack"),
        ([header(), b"\x81\xa1a\xa2\xff\xff"], "not msgpack"),
        ([header(), b"\xdf\xff\xff\xff\xff"], "not msgpack"),
        ([header(s="x" * wire.MAX_HEADER), b"\x80"], "the most is 4096"),
        ([header(), b"\x80" + b"\0" * wire.MAX_BODY], "the most is 4194304"),
        ([header(), b"\x80", *[b""] * (wire.MAX_BUFFERS + 1)], "17 buffers"),
    ],
)
def test_is_what_is_no_message_told_so_at_once(frames: list[bytes], says: str) -> None:
    begun = time.thread_time()
    with pytest.raises(MalformedError) as caught:
        decode(frames)
    assert time.thread_time() - begun < 0.5
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("body", [b"", b"\xc0", nested(40), b"\xc1"])
def test_is_the_id_kept_when_only_the_body_is_broken(body: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        decode([header(id=99), body])
    assert caught.value.id == 99


def test_are_the_limits_themselves_still_allowed() -> None:
    text = "x" * (wire.MAX_BODY - 10)
    deep = nested(wire.MAX_DEPTH)
    assert decode([header(), wire.pack({"t": text})]).body == {"t": text}
    assert decode([header(), deep]).body
    with pytest.raises(MalformedError):
        decode([header(), nested(wire.MAX_DEPTH + 1)])
    assert len(decode([header(), b"\x80", *[b""] * wire.MAX_BUFFERS]).buffers) == 16


def test_is_a_body_of_a_million_values_judged_quickly() -> None:
    body = wire.pack({"a": [{}] * 1_000_000})
    begun = time.thread_time()
    assert decode([header(), body]).body
    assert time.thread_time() - begun < 3
