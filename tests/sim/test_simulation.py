"""Does the kernel keep its promises, whatever happens to it?

Each seed is a run of its own; ``SIM_SEEDS`` sets how many there are, ``SIM_FIRST`` where they
start. A failure names its seed, and the same seed gives the same run.
"""

import os

import pytest

from tests.sim.world import World

SEEDS = int(os.environ.get("SIM_SEEDS", "60"))
FIRST = int(os.environ.get("SIM_FIRST", "0"))
STEPS = 120


def run(seed: int) -> World:
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    world.finish()
    return world


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_does_it_keep_its_promises(seed: int) -> None:
    run(seed)


def test_does_a_seed_give_the_same_run_each_time() -> None:
    first, second = run(7), run(7)
    assert first.trace == second.trace
    assert first.rig.events == second.rig.events
