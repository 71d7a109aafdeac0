"""Which sequences are read together, and is that worth it?"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.edge.families import COST, SHARED_AT_LEAST, Family, families, of_a_length


def tables(*kinds: tuple[Sequence[int], int]) -> list[list[int]]:
    """So many of each kind, which begin with these blocks and have five of their own."""
    fresh = iter(range(10_000, 1_000_000))
    return [
        [*begin, *(next(fresh) for _ in range(5))] for begin, count in kinds for _ in range(count)
    ]


def read(found: Sequence[Family], given: Sequence[Sequence[int]]) -> int:
    """What it takes, in blocks."""
    lengths = sum(len(given[place]) - one.common for one in found for place in one.places)
    return lengths + sum(one.common + COST for one in found)


SHORT, LONG, OTHER = range(4), range(64), [*range(4), *range(100, 160)]


def test_is_one_family_read_once() -> None:
    assert families(tables((LONG, 64))) == [Family([*range(64)], 64)]


def test_do_two_that_begin_with_the_same_template_share_their_own() -> None:
    found = families(tables((LONG, 30), (OTHER, 30)))
    assert sorted(found) == [Family([*range(30)], 64), Family([*range(30, 60)], 64)]


def test_does_one_that_shares_little_leave_the_others_what_they_share() -> None:
    found = families(tables((LONG, 30), (SHORT, 1), (LONG, 33)))
    others = [*range(30), *range(31, 64)]
    assert sorted(found) == [Family(others, 64), Family([30], 0)]


def test_do_those_within_share_more_where_it_pays() -> None:
    found = families(tables((LONG, 20), ([*LONG, *range(200, 280)], 20)))
    assert sorted(found) == [Family([*range(20)], 64), Family([*range(20, 40)], 144)]
    # Two more blocks are not worth products of their own.
    found = families(tables((LONG, 20), ([*LONG, 200, 201], 20)))
    assert found == [Family([*range(40)], 64)]


@pytest.mark.parametrize("few", [2, 3])
def test_are_small_families_read_with_the_others(few: int) -> None:
    kinds = [(range(100 * kind, 100 * kind + 10), few) for kind in range(8)]
    assert families(tables(*kinds)) == [Family([*range(8 * few)], 0)]


def test_is_what_is_too_little_not_shared() -> None:
    assert families(tables((range(SHARED_AT_LEAST - 1), 64))) == [Family([*range(64)], 0)]


def test_does_it_end_with_many_each_of_whom_shares_more_than_the_last() -> None:
    # Deeper than Python's own stack.
    chain = [[*range(4 + at), -at] for at in range(1, 1500)]
    assert sum(len(one.places) for one in families(chain)) == len(chain)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 1), max_size=40), st.integers(1, 40)),
        max_size=30,
    ),
    st.integers(1, 30),
)
def test_is_each_in_one_family_that_costs_no_more_than_none(
    kinds: list[tuple[list[int], int]], wide: int
) -> None:
    # Each choice is of `wide` blocks, so that some of it pays.
    given = tables(
        *(([2 * at + bit for at, bit in enumerate(begin) for _ in range(wide)], count)
          for begin, count in kinds)
    )  # fmt: skip
    found = families(given)
    assert sorted(place for one in found for place in one.places) == [*range(len(given))]
    for one in found:
        begin = given[one.places[0]][: one.common]
        assert all(given[place][: one.common] == begin for place in one.places)
        assert all(len(given[place]) > one.common for place in one.places)
        assert [*one.places] == sorted(one.places)
        assert one.common == 0 or (one.common >= SHARED_AT_LEAST and len(one.places) > 1)
    assert sum(one.common == 0 for one in found) <= 1
    if given:
        assert read(found, given) <= sum(map(len, given)) + COST


# -- what each has beyond that ----------------------------------------------------------------


def padded(groups: Sequence[Sequence[int]], lengths: Sequence[int]) -> int:
    """What it takes, in blocks."""
    return sum(COST + len(group) * max(lengths[at] for at in group) for group in groups)


def test_are_those_of_a_length_read_together() -> None:
    assert of_a_length([3, 100, 4, 110, 3, 105]) == [[0, 2, 4], [1, 3, 5]]
    assert of_a_length([3, 8, 4, 9]) == [[0, 1, 2, 3]], "two products would cost more"
    assert of_a_length([]) == []


@given(st.lists(st.integers(1, 300), max_size=40), st.randoms())
def test_does_no_other_grouping_cost_less(lengths: list[int], rng: random.Random) -> None:
    found = of_a_length(lengths)
    assert sorted(place for group in found for place in group) == [*range(len(lengths))]
    best, order = padded(found, lengths), sorted(range(len(lengths)), key=lengths.__getitem__)
    for _ in range(20):
        cuts = sorted(rng.sample(range(len(order) + 1), min(len(order), rng.randint(0, 6))))
        edges = zip([0, *cuts], [*cuts, len(order)], strict=True)
        groups = [group for first, last in edges if (group := order[first:last])]
        assert best <= padded(groups, lengths)
