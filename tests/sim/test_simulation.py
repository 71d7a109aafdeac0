"""Does the kernel keep its promises, whatever happens to it?

Each seed is a world of its own: ``SIM_SEEDS`` sets how many there are, ``SIM_FIRST`` where they
start, ``SIM_STEPS`` for how many turns things go wrong. ``python -m tests.sim`` plays thousands.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.run import STEPS, play
from tests.sim.world import World

SEEDS = int(os.environ.get("SIM_SEEDS", "160"))
FIRST = int(os.environ.get("SIM_FIRST", "0"))
TURNS = int(os.environ.get("SIM_STEPS", str(STEPS)))

_TELL = "from tests.sim.test_simulation import tell; tell({seed})"


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_does_it_keep_its_promises(seed: int) -> None:
    _, failure = play(seed, TURNS, verbose=False)
    again = f"python -m tests.sim --seed {seed} --steps {TURNS} --trace"
    assert not failure, f"seed {seed}: {failure}\nagain: {again}"


@pytest.mark.parametrize("seed", [7, 11])
def test_does_a_seed_give_the_same_run_in_every_process(seed: int) -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", _TELL.format(seed=seed)],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(told) == 1
    assert len(told.pop()) > 10_000


def tell(seed: int) -> None:
    """All that happened, and all events."""
    world = World(seed, verbose=True)
    world.run(STEPS)
    print("\n".join(world.trace))
    print(world.witness.events)
