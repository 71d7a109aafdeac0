"""The crash campaign: a live kernel is killed under load, and must have lost nothing.

    python -m tests.campaigns.crash [--kills 200] [--seed N] [--json]

Each kill comes at a random moment or at one of the points that ``kernel/crashpoints.py`` names;
then the kernel is started again, the clients repeat what was not answered, and everything that
was acknowledged must be there, once. A failure names its seed, and the home is kept.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernel.crashpoints import POINTS
from tests.campaigns import migrating
from tests.campaigns.siege import Siege
from tests.campaigns.system import Broken

RANDOM = "random"
_LEAST = 10
"""Kills at each named point, of 200."""
_REACHED = 4.0
"""Seconds of work within which a point is reached, or is not."""
_MISSES = 20
"""Times that a point may not be reached in."""
_A_HOME = 25
"""Kills that one home sees."""


@dataclass(slots=True)
class Outcome:
    kills: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    repeated: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return {
            "kills": self.kills.total(), "points": dict(sorted(self.kills.items())),
            "answered": self.answered, "repeated": self.repeated, "failures": self.failures,
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


def plan(kills: int, chance: random.Random) -> list[str]:
    """Which kills there are to be: each point its share, the rest at random moments."""
    share = max(1, kills * (_LEAST + 2) // 200)
    planned = [point for point in POINTS for _ in range(share)][:kills]
    planned += [RANDOM] * (kills - len(planned))
    chance.shuffle(planned)
    return planned


class Campaign:
    def __init__(self, kills: int, seed: int, say: Callable[[str], None]) -> None:
        self.chance = random.Random(seed)
        self.seed, self.say = seed, say
        self.outcome = Outcome()
        self.planned = plan(kills, self.chance)
        self._all = kills
        self._missed: Counter[str] = Counter()

    def run(self, most_failures: int = 3) -> Outcome:
        begun = time.monotonic()
        migrations = self.planned.count(migrating.POINT)
        self.planned = [point for point in self.planned if point != migrating.POINT]
        homes = 0
        while self.planned and len(self.outcome.failures) < most_failures:
            homes += 1
            self._besiege(f"{self.seed}-{homes}")
        for _ in range(migrations):
            if len(self.outcome.failures) < most_failures:
                self._migrate()
        self.outcome.seconds = time.monotonic() - begun
        return self.outcome

    def _besiege(self, seed: str) -> None:
        point = "start"
        siege = Siege(seed)
        try:
            for _ in range(min(_A_HOME, len(self.planned))):
                point = self.planned.pop()
                self._strike(siege, point)
            point = "end"
            siege.rise()
            siege.finish()
        except Broken as error:
            where = f"seed {seed}, after {siege.kills} kills, at {point}"
            self._failed(f"{where}: {error}\nkept: {siege.system.home.root}")
            siege.close(keep=True)
        else:
            siege.close(keep=False)
        for caller in siege.callers:
            self.outcome.answered += caller.answered
            self.outcome.repeated += caller.repeated

    def _strike(self, siege: Siege, point: str) -> None:
        begun, before = time.monotonic(), sum(caller.answered for caller in siege.callers)
        at = "" if point == RANDOM else f"{point}:{self._passing(point)}"
        if at or siege.kills:
            siege.rise(at)
        fell = siege.fall(_REACHED if at else self.chance.uniform(0.02, 0.6))
        self.outcome.kills[point if fell else RANDOM] += 1
        if point != RANDOM and not fell:
            # What was not reached was a kill at a random moment: one of those is left out for it.
            self._missed[point] += 1
            if self._missed[point] < _MISSES:
                self.planned.insert(0, point)
            if RANDOM in self.planned:
                self.planned.remove(RANDOM)
        answered = sum(caller.answered for caller in siege.callers) - before
        self._say(f"{at if fell else RANDOM:<24} {answered:5} calls", begun)

    def _passing(self, point: str) -> int:
        """At which passing: often among the first, when calls are repeated."""
        if point == "at-boot-after-load":
            return 1
        return self.chance.choice(
            [1, 2, 3, self.chance.randint(4, 20), self.chance.randint(4, 120)]
        )

    def _migrate(self) -> None:
        begun = time.monotonic()
        seed = self.chance.randrange(2**32)
        try:
            at = migrating.kill(seed)
        except Broken as error:
            self._failed(f"seed {seed}, in a migration: {error}")
            return
        self.outcome.kills[migrating.POINT] += 1
        self._say(f"{at:<24}", begun)

    def _say(self, what: str, begun: float) -> None:
        number = self.outcome.kills.total()
        self.say(f"kill {number:3}/{self._all} {what} {time.monotonic() - begun:5.2f} s")

    def _failed(self, story: str) -> None:
        self.outcome.failures.append(story)
        self.say(f"FAILED: {story}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--json", action="store_true", help="one document at the end")
    options = parser.parse_args()
    out = sys.stderr if options.json else sys.stdout
    print(f"seed {options.seed}", file=out, flush=True)
    campaign = Campaign(options.kills, options.seed, lambda text: print(text, file=out, flush=True))
    outcome = campaign.run()
    told = outcome.as_json() | {"seed": options.seed}
    print(json.dumps(told, indent=None if options.json else 2))
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
