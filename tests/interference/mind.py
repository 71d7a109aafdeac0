"""A mind: what a process says, where, and about whom, all of it by the dice.

It says markers that the process was told, and new ones of its labels. It knows nothing about which
calls there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmagentos.abi.process import INIT
from tests.interference.markers import found
from tests.interference.program import Dice

if TYPE_CHECKING:
    from tests.interference.world import Actor, World


class Mind:
    def __init__(self, world: World, actor: Actor, dice: Dice) -> None:
        self.world = world
        self.actor = actor
        self.dice = dice
        self.labels = world.labels_of(actor.pid)

    def marker(self) -> str:
        """Something that it knows; "" if it is nothing worth knowing."""
        told, labels = self.actor.told, self.labels
        if self.actor.pid == INIT:
            return ""
        if labels and (not told or self.dice.once_in(3)):
            return self.world.markers.new(self.dice.pick(labels))
        return self.dice.pick(told) if told else ""

    def words(self) -> str:
        return f"news {self.marker()}" if not self.dice.once_in(6) else "news"

    def name(self, *plain: str) -> str:
        """A key, or the name of a file or a checkpoint: that is content, too."""
        return (self.marker() if self.dice.once_in(3) else "") or self.dice.pick(plain)

    def below(self) -> int | None:
        """Itself, or one below it."""
        return None if self.dice.once_in(2) else self._descendant()

    def child(self) -> int:
        return self._descendant() or self.anybody()

    def keeps(self, where: dict[str, Any]) -> dict[str, Any]:
        """Something is kept there from now on."""
        self.world.kept.append(where)
        return where

    def kept(self, what: str) -> dict[str, Any]:
        """Where something is kept that it could reach and knows the name of: a ``key`` or a
        ``path``. Nothing, if there is none."""
        told, pids = self.actor.told, {None, self.actor.pid, *self.descendants()}
        able = [
            where
            for where in self.world.kept
            if what in where
            and where.get("pid") in pids
            and all(one in told for one in found(where[what]))
        ]
        return self.dice.pick(able) if able else {}

    def descendants(self) -> list[int]:
        own, parents = self.actor.pid, self.world.parents
        return [pid for pid in parents if is_below(parents, pid, own)]

    def _descendant(self) -> int | None:
        """One that may lack what this one has, or have what it lacks, mostly."""
        below = self.descendants()
        others = [pid for pid in below if self.world.labels_of(pid) != self.labels]
        below = others if others and not self.dice.once_in(4) else below
        return self.dice.pick(below) if below else None

    def anybody(self) -> int:
        return self.dice.pick(list(self.world.actors))

    def another(self) -> int:
        """Somebody who lacks what it has, mostly."""
        fewer = [pid for pid in self.world.parents if not self.world.labels_of(pid)]
        return self.dice.pick(fewer) if fewer and self.dice.once_in(2) else self.anybody()


def is_below(parents: dict[int, int], pid: int, above: int) -> bool:
    while (pid := parents.get(pid, 0)) > INIT:
        if pid == above:
            return True
    return False
