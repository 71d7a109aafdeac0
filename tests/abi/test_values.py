"""Are the values of a body counted right, and too many refused before any is made?"""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmagentos.abi import wire
from llmagentos.abi.values import MAX_VALUES, exceed
from llmagentos.abi.wire import MalformedError, decode
from tests.abi.frames import ODD, header, packed


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
@given(ODD, st.integers(-2, 2))
def test_are_values_counted_right(value: Any, more: int) -> None:
    _check_count(value, more)


@pytest.mark.parametrize("more", [-1, 0])
@pytest.mark.parametrize("value", _LARGE)
def test_are_many_values_counted_right(value: Any, more: int) -> None:
    _check_count(value, more)


def _check_count(value: Any, more: int) -> None:
    body = packed(value)
    if body is not None:
        assert exceed(body, _count(value) + more) == (more < 0)


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
        decode([header(id=5), body], MAX_VALUES)
    assert (caught.value.id, caught.value.hint) == (5, wire.FEWER)
    assert unpacked == [header(id=5)]


def test_are_as_many_values_as_there_may_be_taken() -> None:
    body = {"a": [1] * (MAX_VALUES - 3)}
    assert decode([header(), wire.pack(body)], MAX_VALUES).body == body
    vectors = {"vectors": [[1.5] * 384] * 1024}
    assert decode([header(), wire.pack(vectors)], wire.MAX_DRIVER_VALUES).body == vectors
