"""Has every tree its fair share, at every moment, whatever its size and its prompts are?

Whole worlds, token by token. The rules that make it so are tested one by one in test_counters.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import combinations, count

import pytest

from kernel.policies.fair import Fair
from tests.kernel.policies.bench import Bench, Stub

IDS = count(1)


@dataclass
class Tree:
    """``processes`` that each make one call after the other, from ``since`` until ``until``, with
    prompts and answers of lengths between these."""

    number: int
    processes: int
    prompts: tuple[int, int]
    lengths: tuple[int, int]
    weight: float = 1.0
    since: float = 0.0
    until: float = float("inf")
    service: float = 0.0
    bursts: int = 0
    waiting: int = 0


@dataclass
class World:
    """Trees in the slots of one driver. ``off``: by how much the estimates of prompts are wrong.
    ``spread``: the greatest difference of service that any two trees of equal weight came to while
    both had something waiting all the time."""

    trees: list[Tree]
    slots: int
    quantum: int
    seed: int
    off: tuple[float, float] = (1.0, 1.0)
    spread: float = 0.0
    biggest: int = 0
    """What a burst cost at most."""
    joint: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.bench = Bench(Fair(quantum=self.quantum), self.slots)
        self.bench.on_start = self.started
        self.bench.on_token = self.served
        self.bench.on_done = self.done
        self.by_number = {tree.number: tree for tree in self.trees}

    def run(self, bursts: int) -> None:
        while sum(tree.bursts for tree in self.trees) < bursts:
            now = self.bench.now
            for tree in self.trees:
                if tree.since == now:
                    for _ in range(tree.processes):
                        self.call(tree)
            self.bench.tick()
            self.look()

    def call(self, tree: Tree) -> None:
        low, high = tree.prompts
        prompt = round(low * (high / low) ** self.dice.random())
        length = self.dice.randint(*tree.lengths)
        estimate = round(prompt * self.dice.uniform(*self.off))
        self.biggest = max(self.biggest, max(prompt, estimate) + 2 * length)
        self.bench.submit(
            Stub(
                id=next(IDS), tree=tree.number, weight=tree.weight,
                estimate=estimate, prompt=prompt, length=length,
            )
        )  # fmt: skip

    def started(self, burst: Stub) -> None:
        if not burst.tokens:
            self.by_number[burst.tree].service += burst.prompt
        self.look()

    def served(self, burst: Stub) -> None:
        self.by_number[burst.tree].service += 2

    def done(self, burst: Stub) -> None:
        tree = self.by_number[burst.tree]
        tree.bursts += 1
        if self.bench.now < tree.until:
            self.call(tree)

    def look(self) -> None:
        """Compare the services of all pairs of trees that have something waiting."""
        backlogged = {burst.tree for burst in self.bench.waiting}
        for pair in combinations(self.by_number, 2):
            if not backlogged.issuperset(pair):
                self.joint.pop(pair, None)
                continue
            one, other = (self.by_number[number] for number in pair)
            if one.weight != other.weight:
                continue
            difference = one.service - other.service
            low, high = self.joint.get(pair, (difference, difference))
            self.joint[pair] = low, high = min(low, difference), max(high, difference)
            self.spread = max(self.spread, high - low)


def unequal_trees() -> list[Tree]:
    """From 1 process to 50, from 10 tokens to 4000; some come later, go, and come again."""
    return [
        Tree(1, processes=50, prompts=(10, 40), lengths=(1, 10)),
        Tree(2, processes=1, prompts=(10, 4000), lengths=(1, 40)),
        Tree(3, processes=6, prompts=(2000, 4000), lengths=(1, 40)),
        Tree(4, processes=50, prompts=(10, 4000), lengths=(1, 20)),
        Tree(5, processes=12, prompts=(10, 200), lengths=(20, 60), since=3000),
        Tree(6, processes=50, prompts=(10, 20), lengths=(1, 5), since=5000, until=7000),
        Tree(7, processes=2, prompts=(100, 400), lengths=(1, 80)),
    ]


@pytest.mark.parametrize(("slots", "bursts"), [(1, 3_000), (4, 11_000)])
def test_is_the_difference_between_two_trees_within_the_bound_at_every_moment(
    slots: int, bursts: int
) -> None:
    world = World(unequal_trees(), slots, quantum=8, seed=slots)
    world.run(bursts)
    assert world.spread > 4000, "the trees are too tame to show anything"
    assert world.spread <= 2 * (4000 + 2 * (slots + 1) * 8)
    assert all(tree.bursts > 10 for tree in world.trees)


@pytest.mark.parametrize("slots", [1, 2, 6])
def test_is_it_a_matter_of_quanta_where_the_answers_are_long(slots: int) -> None:
    trees = [
        Tree(1, processes=50, prompts=(10, 20), lengths=(50, 200)),
        Tree(2, processes=2, prompts=(10, 20), lengths=(1, 300)),
        Tree(3, processes=20, prompts=(10, 20), lengths=(1, 20)),
        Tree(4, processes=9, prompts=(10, 20), lengths=(1, 20), since=500, until=900),
        Tree(5, processes=1, prompts=(10, 20), lengths=(100, 200)),
        Tree(6, processes=12, prompts=(10, 20), lengths=(100, 200), since=2000),
    ]
    world = World(trees, slots, quantum=8, seed=1)
    world.run(bursts=600)
    assert world.spread <= 2 * (20 + 2 * (slots + 1) * 8)


@pytest.mark.parametrize(("slots", "off"), [(1, (0.2, 1.0)), (4, (0.2, 3.0))])
def test_is_it_within_the_papers_bound_when_nothing_can_be_preempted(
    slots: int, off: tuple[float, float]
) -> None:
    world = World(unequal_trees(), slots, quantum=0, seed=3, off=off)
    world.run(bursts=3_000)
    assert world.spread <= 2 * slots * world.biggest


@pytest.mark.parametrize("quantum", [0, 8])
def test_are_the_shares_as_the_weights(quantum: int) -> None:
    trees = [
        Tree(1, processes=40, prompts=(10, 100), lengths=(1, 40), weight=1),
        Tree(2, processes=10, prompts=(10, 400), lengths=(1, 40), weight=2),
        Tree(3, processes=20, prompts=(10, 50), lengths=(1, 40), weight=5),
    ]
    World(trees, slots=4, quantum=quantum, seed=1, off=(0.5, 2.0)).run(bursts=6_000)
    total = sum(tree.service for tree in trees)
    for tree in trees:
        assert tree.service / total == pytest.approx(tree.weight / 8, rel=0.05)


@pytest.mark.parametrize(("prompts", "lengths"), [((10, 20), (5, 20)), ((2000, 4000), (5, 20))])
def test_has_one_process_as_much_as_fifty(
    prompts: tuple[int, int], lengths: tuple[int, int]
) -> None:
    """It makes one call after the other, so it has nothing waiting while it runs."""
    alone = Tree(1, processes=1, prompts=(10, 200), lengths=(1, 60))
    crowd = Tree(2, processes=50, prompts=prompts, lengths=lengths)
    World([alone, crowd], slots=1, quantum=8, seed=5).run(bursts=2_500)
    assert alone.service == pytest.approx(crowd.service, rel=0.05)
