"""Values: how many there are in a packed body, counted before any of them is made.

Each map, list, text, number, key … is one. A byte is enough for one, and to make it and look at it
takes a microsecond: so how long somebody works on a body follows from its values more than from its
bytes. It knows nothing about what they mean, nor whether the body is whole.
"""

from __future__ import annotations

from typing import Final

MAX_VALUES: Final = 64 * 1024
"""In a call's body, and in one value of it: each map, list, text, number … and each key of a map.
The kernel works on one message at a time, and everybody waits as long as that takes."""


def _widths() -> list[int]:
    """Bytes of what begins with each byte; 0: that is written after it."""
    widths = [1] * 256  # small numbers, null, booleans, and what is not msgpack at all
    widths[0x80:0xA0] = [0] * 32  # small maps and lists
    widths[0xA0:0xC0] = range(1, 33)  # small texts
    widths[0xC4:0xCA] = [0] * 6  # bytes and extensions
    widths[0xCA:0xD9] = (5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18)
    widths[0xD9:0xE0] = [0] * 7  # texts, lists, maps
    return widths


_WIDTHS: Final = _widths()

_LENGTHS: Final = {
    0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4,
    0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4,
}  # fmt: skip
"""Bytes of the length that comes after the first one."""

_FLOAT: Final = 0xCB
_RUN: Final = 9 * 64
"""Bytes of floats that are looked at together: vectors are nothing else, and long."""


def exceed(body: bytes, most: int) -> bool:
    """Whether there are more than ``most`` values in the body. It takes no longer than so many
    take, since a list says how long it is. Of a body that ends too early what is there counts."""
    end = len(body)
    if end <= most:
        return False
    known = left = 1
    at = 0
    while left > 0 and at < end:
        first = body[at]
        width = _WIDTHS[first]
        left -= 1
        if first == _FLOAT and left:
            run = body[at : at + _RUN : 9]
            count = len(run) - len(run.lstrip(b"\xcb"))
            at, left = at + 9 * count, left - count + 1
        elif width:
            at += width
        elif first < 0xA0:
            inside = first & 15 if first >= 0x90 else 2 * (first & 15)
            at, left, known = at + 1, left + inside, known + inside
        else:
            size = _LENGTHS[first]
            length = int.from_bytes(body[at + 1 : at + 1 + size], "big")
            at += 1 + size
            if first >= 0xDC:
                inside = length if first < 0xDE else 2 * length
                left, known = left + inside, known + inside
            else:
                at += length + (0xC7 <= first <= 0xC9)
        if known > most:
            return True
    return False
