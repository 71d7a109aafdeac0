"""The research team: a planner that parts a question, workers that answer the parts beside each
other, a critic who reads what they found, and one answer.

``python -m agents.apps.research`` is the program of ``manifests/research-team.yaml``. All that it
has learnt is in its memory, so when it is started anew it goes on. It knows nothing about models.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from agents.apps.crew import Crew
from agents.apps.task import carry_out
from llmagentos import System
from llmagentos.abi import errors

_PLAN: Final = (
    "Split the question into {count} smaller questions, which together answer it. "
    "Write one question a line, and nothing else."
)
_WRITE: Final = (
    "Answer the question from the notes. Leave out what they don't say, and mind the remarks."
)
_BULLET: Final = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s*")
_LONGEST: Final = 400
"""Characters of a question."""


def main(given: Sequence[str] | None = None) -> int:
    """The exit status of the program."""
    parser = argparse.ArgumentParser(description="Answer a question as a team.")
    parser.add_argument("--workers", type=int, default=4, help="the most parts of a question")
    parser.add_argument("--worker", default="research-worker", help="the manifest of a worker")
    parser.add_argument("--critic", default="research-critic", help="the manifest of the critic")
    options = parser.parse_args(given)
    carry_out(
        lambda system, question: Team(
            system, options.workers, options.worker, options.critic
        ).answer(question)
    )
    return 0


class Team:
    """``workers``: how many work beside each other, at most."""

    def __init__(self, system: System, workers: int, worker: str, critic: str) -> None:
        self._system = system
        self._crew = Crew(system)
        self._workers = workers
        self._worker, self._critic = worker, critic

    def answer(self, question: str) -> str:
        """Raises ``EDRIVER`` if no worker had an answer, and what the calls raise."""
        notes = self._work("part", self._plan(question))
        if not notes:
            raise errors.EDRIVER("none of the workers had an answer", hint="llmos ps --history")
        report = _report(question, notes)
        self._crew.hire("critic", self._critic, report)
        remarks = self._crew.answer("critic")
        # What he asks is looked into once.
        asked = [line for line in _lines(remarks) if line.endswith("?")]
        notes |= self._work("open", asked[: self._workers])
        return self._said(_WRITE, f"{_report(question, notes)}\n\nRemarks: {remarks or 'none'}")

    def _plan(self, question: str) -> list[str]:
        """Kept, since a model might say something else when it is asked again."""
        try:
            plan = self._system.call("mem.get", key="plan")["value"]
        except errors.ENOENT:
            said = self._said(_PLAN.format(count=self._workers), question)
            plan = _lines(said)[: self._workers] or [question]
            self._system.call("mem.put", key="plan", value=plan)
        return [str(part) for part in plan]

    def _work(self, kind: str, questions: list[str]) -> dict[str, str]:
        """The answers to these questions, worked out beside each other."""
        names = [f"{kind}-{number}" for number in range(1, len(questions) + 1)]
        for name, question in zip(names, questions, strict=True):
            self._crew.hire(name, self._worker, question)
        answers = self._crew.answers(names)
        return {
            question: answers[name]
            for name, question in zip(names, questions, strict=True)
            if name in answers
        }

    def _said(self, task: str, text: str) -> str:
        messages = [{"role": "system", "content": task}, {"role": "user", "content": text}]
        return self._system.generate(messages).text.strip()


def _report(question: str, notes: dict[str, str]) -> str:
    return "\n\n".join([f"Question: {question}", *(f"{q}\n{a}" for q, a in notes.items())])


def _lines(text: str) -> list[str]:
    """The lines of a list, each once, without what marks them as one."""
    return list(dict.fromkeys(_stripped(text.splitlines())))


def _stripped(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        words = _BULLET.sub("", line).strip()[:_LONGEST].strip()
        if words:
            yield words


if __name__ == "__main__":
    sys.exit(main())
