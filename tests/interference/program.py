"""A program: a list of steps, each of which names what is done, and carries the dice for it.

A step decides by its own dice only, so a program stays the same program when some of its steps are
dropped: that is how one that fails is made short. It knows nothing about what the steps do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

FEWEST, MOST = 13, 26
"""Steps of one program."""

_SIDES: Final = 1 << 80


class Step(NamedTuple):
    name: str
    dice: int


class Dice:
    """Choices, drawn from one large number until it is used up; then all of them are the first."""

    def __init__(self, number: int) -> None:
        self._left = number

    def below(self, sides: int) -> int:
        self._left, drawn = divmod(self._left, sides)
        return drawn

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def once_in(self, times: int) -> bool:
        return self.below(times) == 0


def program(seed: int, weights: Mapping[str, int]) -> list[Step]:
    """The program of this seed. It begins with births: else there is nobody to do anything."""
    chance = random.Random(seed)
    names = chance.choices(list(weights), list(weights.values()), k=chance.randint(FEWEST, MOST))
    names[:3] = ["born", chance.choice(("born", "spawn")), "spawn"]
    return [Step(name, chance.randrange(_SIDES)) for name in names]


def shrunk(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """As few of its steps as still fail: first halves are left out, at last single steps."""
    size = len(steps) // 2
    while size:
        start = 0
        while start < len(steps):
            fewer = steps[:start] + steps[start + size :]
            if fewer and fails(fewer):
                steps = fewer
            else:
                start += size
        size //= 2
    return steps
