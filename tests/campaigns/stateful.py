"""The stateful fuzzer: stories of a whole town on one machine, in this process.

Each story is some turns long, then everything comes to rest, dies and is booted again. It knows
nothing about what the turns are.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from llmagentos.abi.process import INIT
from tests.campaigns.findings import Findings, known, shortest
from tests.campaigns.invariants import differences, lasting, unbalanced
from tests.campaigns.town import Town, Wrong

_REPO = Path(__file__).parents[2]


def run(count: int, seed: int, findings: Findings, say: Callable[[int], None]) -> int:
    """So many stories; how many turns they had in all."""
    turns = 0
    for number in range(count):
        length = random.Random(f"{seed} {number}").randint(10, 40)
        theme = f"{seed} {number}"
        turns += length
        wrong, _ = play(theme, range(length))
        if wrong:
            findings.add(wrong, partial(_told, theme, length, wrong))
        say(number + 1)
    return turns


def play(theme: str, turns: Iterable[int]) -> tuple[str, list[str]]:
    """What went wrong, or ""; and what was said, in words."""
    town = Town(theme)
    try:
        for turn in turns:
            town.step(f"{theme} {turn}")
        _rest(town)
    except Wrong as error:
        return str(error), town.story
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = next((f for f in reversed(frames) if "/kernel/" in f.filename), frames[-1])
        where = f"{Path(last.filename).relative_to(_REPO)}:{last.lineno}"
        return f"the kernel dies: {type(error).__name__} in {where}: {error}", town.story
    return "", town.story


def _rest(town: Town) -> None:
    """All work is over: the accounts must balance, and a boot must bring back what there was."""
    town.quiet()
    if wrong := unbalanced(town.rig.machine):
        raise Wrong(f"at rest: {wrong[0]}")
    before = lasting(town.rig.machine)
    town.rig.crash()
    if changed := differences(before, lasting(town.rig.machine)):
        raise Wrong(f"a boot changes {changed[0]}")
    pids = [process.pid for process in town.rig.machine.table if process.pid != INIT]
    for pid in pids:
        town.rig.send("proc.kill", pid=pid, signal="KILL")
    if wrong := unbalanced(town.rig.machine):
        raise Wrong(f"at the end: {wrong[0]}")


def _told(theme: str, length: int, wrong: str) -> str:
    """The shortest part of it that goes wrong in the same way."""
    same = known(wrong)
    short = shortest(range(length), lambda fewer: known(play(theme, fewer)[0]) == same)
    _, said = play(theme, short)
    return "\n".join(["  " + line for line in said[-30:]] + [f"  play({theme!r}, {short})"])
