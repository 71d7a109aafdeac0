"""One run: a seed played to its end, and what went wrong in it."""

from __future__ import annotations

import traceback
from pathlib import Path

from tests.sim.violation import Violation
from tests.sim.world import World

STEPS = 100
"""Turns of the kernel in which things go wrong, before all must come to its end."""

_REPO = Path(__file__).parents[2]


def play(seed: int, steps: int = STEPS, *, verbose: bool = True) -> tuple[list[str], str]:
    """The trace, and what went wrong, or ""."""
    world = World(seed, verbose=verbose)
    try:
        world.run(steps)
    except Violation as broken:
        return world.trace, f"{broken} (turn {world.server.turns})"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = next((f for f in reversed(frames) if "/kernel/" in f.filename), frames[-1])
        place = Path(where.filename)
        name = place.relative_to(_REPO) if place.is_relative_to(_REPO) else place.name
        kind = type(error).__name__
        return world.trace, f"{kind} in {name}:{where.lineno}: {error} (turn {world.server.turns})"
    finally:
        world.close()
    return world.trace, ""
