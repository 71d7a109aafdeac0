"""Families: sequences that begin with the same blocks, which attention then reads once for all.

Sequences begin alike more or less: all of them perhaps with a template's first words, those of one
manifest with its system prompt, those of one tree with what its root has read. Each may be in one
family only, and each family costs products of its own. So they are put in order, in which those
that begin alike are neighbours, and of the tree of what neighbours share (as of a suffix array,
Abouelhoda et al. 2004) those branches are taken that save more reading than they cost. What each
has beyond that is padded to the longest of those that are read together, so these should be about
as long. It knows nothing about tensors, nor about what is in a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

SHARED_AT_LEAST: Final = 4
"""Blocks in common, below which it is quicker to read them for each sequence."""
COST: Final = 64
"""Blocks that could be read in the time that one more product takes; measured with two threads on a
Zen 4."""


class Family(NamedTuple):
    """``places``: of its sequences in the batch, in order; ``common``: blocks that are read once
    for all of them. Those who share nothing are a family in that."""

    places: Sequence[int]
    common: int


@dataclass(slots=True)
class _Branch:
    """The neighbours from ``first`` to before ``last``, who begin with ``common`` blocks alike."""

    common: int
    first: int
    last: int = 0
    inside: list[_Branch] = field(default_factory=list)
    families: list[Family] = field(default_factory=list)
    cost: int = 0


def families(tables: Sequence[Sequence[int]], cost: int = COST) -> list[Family]:
    """``tables``: the blocks of each sequence, at least one, the last of which has a new token in
    it, and so is nobody else's. ``cost``: of a product, in blocks."""
    if not tables:
        return []
    order = sorted(range(len(tables)), key=lambda place: list(tables[place]))
    lengths = [len(tables[place]) for place in order]
    for branch in _branches([tables[place] for place in order]):
        _settle(branch, lengths, cost)
    found: list[Family] = []
    alone: list[int] = []
    for members, common in branch.families:
        places = sorted(order[at] for at in members)
        if common:
            found.append(Family(places, common))
        else:
            alone += places
    return [*found, Family(sorted(alone), 0)] if alone else found


def of_a_length(lengths: Sequence[int], cost: int = COST) -> list[list[int]]:
    """By their places, those that are padded to the longest of them and read together: so that what
    is read, with what is only padding, and the products cost least."""
    members = Counter(lengths)
    sizes = sorted(members)
    before = [0, *accumulate(members[size] for size in sizes)]
    costs, firsts = [0], list[int]()
    for last, size in enumerate(sizes, start=1):
        least, first = min(
            (costs[first] + cost + (before[last] - before[first]) * size, first)
            # Of more sizes the smallest would always better have a product of its own.
            for first in range(max(0, last - 1 - cost), last)
        )
        costs.append(least)
        firsts.append(first)
    group: dict[int, int] = {}
    last = len(sizes)
    while last:
        first = firsts[last - 1]
        group.update(dict.fromkeys(sizes[first:last], first))
        last = first
    found: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        found.setdefault(group[length], []).append(place)
    return list(found.values())


def _branches(tables: Sequence[Sequence[int]]) -> Iterator[_Branch]:
    """Of neighbours in order; those inside of another first, and the whole last."""
    open_ = [_Branch(0, 0)]
    for at in range(1, len(tables) + 1):
        common = _in_common(tables[at - 1], tables[at]) if at < len(tables) else 0
        first, ended = at - 1, None
        while common < open_[-1].common:
            ended = open_.pop()
            ended.last, first = at, ended.first
            yield ended
            if common <= open_[-1].common:
                open_[-1].inside.append(ended)
        if common > open_[-1].common:
            open_.append(_Branch(common, first, inside=[ended] if ended else []))
    open_[0].last = len(tables)
    yield open_[0]


def _settle(branch: _Branch, lengths: Sequence[int], cost: int) -> None:
    """Its families, of neighbours: those inside that are worth it, and one of all others."""

    def beyond(one: _Branch) -> int:
        return sum(lengths[one.first : one.last]) - branch.common * (one.last - one.first)

    gains = [beyond(one) - one.cost for one in branch.inside]
    taken = [one for one, gain in zip(branch.inside, gains, strict=True) if gain > 0]
    losses = sum(-gain for gain in gains if gain < 0)
    whole = sum(one.last - one.first for one in branch.inside) == branch.last - branch.first
    if whole and losses < cost + branch.common:
        taken = branch.inside  # so that there are no others
    rest, at = list[int](), branch.first
    for one in taken:
        branch.families += one.families
        branch.cost += one.cost
        rest += range(at, one.first)
        at = one.last
    rest += range(at, branch.last)
    if rest:
        branch.families.append(Family(rest, branch.common if len(rest) > 1 else 0))
        branch.cost += cost + branch.common
        branch.cost += sum(lengths[place] - branch.common for place in rest)


def _in_common(one: Sequence[int], other: Sequence[int]) -> int:
    """With how many blocks both begin; 0 if that is not worth a product of its own."""
    most = min(len(one), len(other)) - 1
    if one[:most] == other[:most]:
        common = most
    else:
        common = next(at for at in range(most) if one[at] != other[at])
    return common if common >= SHARED_AT_LEAST else 0
