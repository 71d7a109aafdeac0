"""Does the kernel keep its promises, whatever happens to it?

Each seed is a world of its own; ``SIM_SEEDS`` sets how many there are, ``SIM_FIRST`` where they
start. A failure names its seed, and the same seed gives the same world: ``python -m tests.sim
--seed N --trace`` shows it.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.__main__ import TURNS
from tests.sim.world import World

SEEDS = int(os.environ.get("SIM_SEEDS", "500"))
FIRST = int(os.environ.get("SIM_FIRST", "0"))
BATCH = 25
"""Seeds in one test: a test for each would only make the report longer."""

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, BATCH))
def test_does_it_keep_its_promises(first: int) -> None:
    for seed in range(first, min(first + BATCH, FIRST + SEEDS)):
        try:
            World(seed).run(TURNS)
        except Exception as error:
            again = f"python -m tests.sim --seed {seed} --turns {TURNS} --trace"
            error.add_note(f"seed {seed}; once more: {again}")
            raise


def digest(seed: int) -> str:
    world = World(seed)
    world.run(TURNS)
    whole = "\n".join([*world.trace, *map(repr, world.witness.events)])
    return hashlib.sha256(whole.encode()).hexdigest()


@pytest.mark.parametrize("seed", [7, 11])
def test_does_a_seed_give_the_same_world_each_time(seed: int) -> None:
    # In a process of its own, with another seed for hashes: sets and dicts must not decide.
    script = f"from tests.sim.test_simulation import digest; print(digest({seed}))"
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert other.stdout.strip() == digest(seed)
