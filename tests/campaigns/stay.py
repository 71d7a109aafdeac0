"""A stay: one burst in an engine, what it should say, and what it has said so far.

It knows nothing about engines, nor about other bursts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llmagentos.abi.driver import Start, StepReport


class Wrong(Exception):
    """The engine did what it must never do."""


@dataclass(slots=True)
class Stay:
    """``right``: its whole answer; ``tokens``: of that what it has; ``fed`` and ``cached``: how
    many of its tokens were computed and found since the driver began."""

    order: Start
    prompt: list[int]
    right: list[int]
    held: bool
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    fed: int = 0
    cached: int = 0
    counted: bool = False

    @property
    def known(self) -> list[int]:
        return self.prompt + self.tokens

    def hear(self, report: StepReport) -> None:
        """What it got in one step."""
        if self.held and report.tokens:
            raise Wrong("a held burst moves")
        if report.index != len(self.tokens):
            raise Wrong("a report with another index")
        if report.prompt_tokens != (None if self.counted else len(self.prompt)):
            raise Wrong("the prompt is counted twice, or never, or wrongly")
        self.counted = True
        self.tokens += report.tokens
        self.text += report.text
        self.cached += report.cached_tokens
        if self.tokens != self.right[: len(self.tokens)]:
            raise Wrong(f"other tokens: {self.tokens}, not {self.right}")

    def end(self, text: str, *, once: bool) -> None:
        """It has ended, and should have this ``text``. ``once``: no token was computed twice."""
        if (self.tokens, self.text) != (self.right, text):
            raise Wrong(f"it ends with {self.text!r}, not {text!r}")
        read = len(self.known) - 1
        if once and self.fed and self.fed + self.cached != read:
            raise Wrong(f"of {read} tokens {self.fed} were computed and {self.cached} found")

    def in_common(self, others: Iterable[Sequence[int]]) -> int:
        """With how many tokens it begins that one of these begins with."""
        return max((_common(self.known, one) for one in others), default=0)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
