"""An answer that is known beforehand, and is said a word at a time, a word per token.

It knows nothing about the others that are said beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from llmagentos.abi.driver import Finish, Start, StepReport
from llmagentos.abi.model import Model
from llmagentos.abi.talk import ToolCall

KV_PER_TOKEN = 1000
"""Bytes that it claims to hold for a token, so that accounts have something to count."""


class Wish(Model):
    name: str
    arguments: str = "{}"


class Turn(Model):
    """One answer: what it says, and the calls that it wants made."""

    text: str = ""
    calls: list[Wish] = Field(default_factory=list)


@dataclass(slots=True)
class Answer:
    """``read``: its prompt was, as far as anything is read here."""

    order: Start
    words: list[str]
    prompt_tokens: int
    index: int
    calls: list[ToolCall] = field(default_factory=list)
    counted: bool = False
    read: bool = False
    limit: int = field(init=False)

    def __post_init__(self) -> None:
        self.limit = min(len(self.words), self.order.sampling.max_tokens)

    @property
    def ended(self) -> bool:
        return self.index >= self.limit

    @property
    def kv_bytes(self) -> int:
        return (self.prompt_tokens + self.index) * KV_PER_TOKEN if self.read else 0

    def speak(self, seconds: float) -> StepReport:
        """The next word, if there is one. Reading the prompt takes no longer than a word."""
        start, first = self.index, not self.read
        spoken = self.words[start : min(start + 1, self.limit)]
        self.index += len(spoken)
        self.read = True
        return self.report(
            start, spoken, prefill=seconds if first else 0.0, decode=0.0 if first else seconds
        )

    def report(
        self, start: int, spoken: list[str], *, prefill: float = 0.0, decode: float = 0.0
    ) -> StepReport:
        first, self.counted = not self.counted, True
        reason: Finish = "stop" if self.limit == len(self.words) else "length"
        calls = self.calls if self.ended and reason == "stop" else []
        if calls:
            reason = "tool_calls"
        return StepReport(
            burst=self.order.burst,
            attempt=self.order.attempt,
            index=start,
            tokens=[start] if spoken else [],
            text="".join(spoken),
            prompt_tokens=self.prompt_tokens if first else None,
            prefill_seconds=prefill,
            decode_seconds=decode,
            finish=reason if self.ended else None,
            tool_calls=calls,
        )
