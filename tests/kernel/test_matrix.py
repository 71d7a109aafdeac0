"""Are the nearest vectors the nearest ones, whatever came and went?"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.matrix import Matrix
from kernel.query import quantised

NUMBERS = st.integers(-127, 127)
VECTORS = st.lists(NUMBERS, min_size=3, max_size=3).filter(any)


def packed(numbers: list[int]) -> bytes:
    return bytes(number & 0xFF for number in numbers)


def cosine(a: list[int], b: list[int]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / (math.hypot(*a) * math.hypot(*b))


@settings(max_examples=200, deadline=None)
@given(
    begun=st.dictionaries(st.integers(1, 30), VECTORS, max_size=20),
    steps=st.lists(st.tuples(st.integers(1, 200), st.none() | VECTORS), max_size=150),
    wanted=VECTORS,
    count=st.integers(1, 50),
)
def test_are_they_those_of_a_plain_reckoning(
    begun: dict[int, list[int]],
    steps: list[tuple[int, list[int] | None]],
    wanted: list[int],
    count: int,
) -> None:
    there = dict(begun)
    matrix = Matrix(3, [(id, packed(numbers)) for id, numbers in begun.items()])
    for id, numbers in steps:
        if numbers is None:
            matrix.drop(id)
            there.pop(id, None)
        else:
            matrix.set(id, packed(numbers))
            there[id] = numbers
    assert len(matrix) == len(there)
    expected = {id: round(cosine(numbers, wanted), 6) for id, numbers in there.items()}
    near = matrix.nearest(packed(wanted), count)
    assert len(near) == min(count, len(there))
    for id, found in near:
        assert math.isclose(found, expected[id], abs_tol=2e-6)
    assert near == sorted(near, key=lambda one: (-one[1], one[0]))
    if near:
        left = [expected[id] for id in there if id not in dict(near)]
        assert max(left, default=-1.0) <= near[-1][1] + 2e-6
    chosen = matrix.cosines(packed(wanted), [*there, 999])
    assert chosen.keys() == there.keys()


def test_is_it_the_same_however_many_are_multiplied_at_once() -> None:
    random = np.random.default_rng(1)
    rows = random.integers(-127, 128, (20_000, 384), np.int8)
    matrix = Matrix(384, [(id, row.tobytes()) for id, row in enumerate(rows)])
    wanted = rows[12_345]
    near = matrix.nearest(wanted.tobytes(), 20_000)
    assert near[0] == (12_345, 1.0)
    whole = rows.astype(np.int64)
    products = whole @ wanted.astype(np.int64)
    lengths = np.sqrt((whole * whole).sum(axis=1)) * math.sqrt((whole[12_345] ** 2).sum())
    exact = (products / lengths).round(6)
    assert [exact[id] for id, _ in near] == [found for _, found in near]


def test_does_a_vector_that_comes_and_goes_take_no_more_room() -> None:
    matrix = Matrix(3, [(1, b"abc")])
    for id in range(1000):
        matrix.set(id, b"abc")
        matrix.drop(id)
    assert (len(matrix), matrix.room < 1000) == (0, True)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e300, 1e300, allow_nan=False), min_size=1, max_size=50))
def test_does_a_vector_keep_its_direction_in_bytes(vector: list[float]) -> None:
    made = quantised(vector)
    most = max(map(abs, vector))
    if most == 0:
        assert made is None
        return
    assert made is not None
    numbers = [byte - 256 if byte > 127 else byte for byte in made]
    assert all(
        abs(n / 127 - v / most) <= 0.5001 / 127 for n, v in zip(numbers, vector, strict=True)
    )
