"""Frames and what is in them: values that a message may have, odd ones, and headers."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import strategies as st

from llmagentos.abi import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
) | TEXT

_ODD_KEYS = TEXT | st.integers() | st.binary(max_size=4) | st.none()
_ODD_LEAVES = LEAVES | st.binary(max_size=9) | st.builds(msgpack.ExtType, st.just(5), st.binary())
ODD = st.recursive(
    _ODD_LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_ODD_KEYS, inner, max_size=4),
    max_leaves=8,
)


def packed(value: Any) -> bytes | None:
    try:
        return msgpack.packb(value)
    except (OverflowError, ValueError, TypeError):
        return None


def header(**fields: Any) -> bytes:
    return wire.pack({"v": 1, "t": "call", "id": 7, "n": "sys.ping", **fields})


def nested(depth: int) -> bytes:
    return b"\x81\xa1a" * depth + b"\xc0"
