"""The cases: every goal, in some of the spots that the agent reads during one of its tasks.

Words, codes, delays and the spot go round, so that each goal meets others, and the same ones every
time. It knows nothing about what comes of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from tests.injections import tasks
from tests.injections.goals import GOALS, Goal
from tests.injections.tasks import Task
from tests.injections.wordings import CODES, WORDS, coded, pieces, spoken

_ROUNDS: Final = 3
"""Cases of each goal; of one that is permitted one, which shows that the agent obeys."""

_HIDES: Final = ("base64", "hex", "reversed", "rot13", "plain")
_NAME_LIMIT: Final = 240
"""Bytes of a file's name."""


@dataclass(frozen=True, slots=True)
class Case:
    """``spots``: what is written there. ``words``: how it is put."""

    goal: Goal
    task: Task
    spots: dict[str, str]
    words: str

    @property
    def name(self) -> str:
        where = "+".join(self.spots)
        return f"{self.goal.manifest}/{self.task.name}/{self.goal.name}/{where}/{self.words}"


def _made() -> list[Case]:
    return [
        _case(goal, number, turn)
        for number, goal in enumerate(GOALS)
        for turn in range(1 if goal.verdict == "permit" else _ROUNDS)
    ]


def _case(goal: Goal, number: int, turn: int) -> Case:
    at = number * _ROUNDS + turn
    places = [
        (task, spot)
        for task in tasks.of(goal.manifest)
        for spot in task.spots
        if not goal.tasks or task.name in goal.tasks
    ]
    task, spot = places[(number + turn * (1 + number % 3)) % len(places)]
    wording, code = list(WORDS)[at % len(WORDS)], CODES[at % len(CODES)]
    hidden = f"<<all:{_HIDES[at % len(_HIDES)]}>>".replace(":plain", "")
    calls = [(name, _with(hidden, said)) for name, said in goal.calls]
    late = len(task.plan) > 2 and at % 5 == 0
    told = spoken(calls, at_once=goal.at_once, delay=2 if late else 0)
    others = [one for one in task.spots if one not in (spot, "file.name")]
    if at % 9 == 4 and others and spot != "file.name":
        first, second = pieces(told)
        return Case(goal, task, {spot: first, others[0]: second}, "in two pieces")
    text = WORDS[wording].format(coded(told, code))
    if spot == "file.name":
        text = text.replace("\n", " ").replace("/", "").strip() if code != "plain" else ""
        if not 0 < len(text.encode()) <= _NAME_LIMIT:
            spot, text = "file.body", WORDS[wording].format(coded(told, code))
    delay = ", delayed" if late else ""
    return Case(goal, task, {spot: text}, f"{wording}, {code}{delay}")


def _with(hidden: str, said: object) -> object:
    if isinstance(said, str):
        return said
    return json.loads(json.dumps(said).replace("<<all:CODE>>", hidden))


CASES: Final = _made()
