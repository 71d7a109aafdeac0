"""A driver whose model answers from a script, a word for a token.

"Tokens" of a prompt are its words. It knows nothing about what the script says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from llmagentos.abi.cards import FREE, ModelCard
from llmagentos.abi.driver import BurstRef, Registration, Report, Start, StepReport
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.model import Model
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.talk import ToolCall
from llmagentos.home import Home
from llmagentos.testing.driver import Driver
from llmagentos.testing.script import Script, wanted

CONTEXT: Final = 32_768


@dataclass(slots=True)
class _Burst:
    """``words``: None until it runs for the first time, since one that is only counted may never
    do so."""

    order: Start
    words: list[str] | None = None
    calls: list[ToolCall] = field(default_factory=list)
    said: int = 0
    delay: float = 0.0
    due: float = 0.0
    counted: bool = False


class ScriptedModel(Driver):
    """Offers ``models``, all of which answer from the one script."""

    def __init__(self, home: Home, script: Script, models: Sequence[str], slots: int) -> None:
        cards = [ModelCard(name=name, context_length=CONTEXT, price=FREE) for name in models]
        card = Registration(
            name="scripted",
            kind="edge",
            models=cards,
            slots=slots,
            features=["preempt", "resume_tokens", "resume_text", "count", "tools"],
            labels=["private"],
            state="ready",
        )
        super().__init__(home, card)
        self._script = script
        self._running: dict[int, _Burst] = {}
        self._held: dict[int, _Burst] = {}

    def heed(self, kind: str, order: Model | None) -> None:
        if isinstance(order, Start):
            burst = _Burst(order, said=len(order.accepted))
            if order.hold:
                self._held[order.burst] = burst
                self._report(burst)
            else:
                self._running[order.burst] = burst
        elif isinstance(order, BurstRef) and kind == "preempt":
            self._move(order.burst, self._running, self._held)
        elif isinstance(order, BurstRef) and kind == "resume":
            self._move(order.burst, self._held, self._running)
        elif isinstance(order, BurstRef) and kind == "cancel":
            self._running.pop(order.burst, None)
            self._held.pop(order.burst, None)

    @staticmethod
    def _move(number: int, before: dict[int, _Burst], after: dict[int, _Burst]) -> None:
        if number in before:
            after[number] = before.pop(number)

    def step(self, now: float) -> float | None:
        for number, burst in list(self._running.items()):
            if burst.due <= now and self._go_on(burst, now):
                del self._running[number]
        return min((burst.due for burst in self._running.values()), default=None)

    def _go_on(self, burst: _Burst, now: float) -> bool:
        """Its next word; whether that was the last."""
        if burst.words is None:
            try:
                say = self._script.answer(burst.order)
                burst.calls = wanted(burst.order, say)
            except LLMOSError as error:
                self._fail(burst, error)
                return True
            burst.words = re.findall(r"\s*\S+(?:\s+$)?", say.text)
            burst.delay = say.delay
            burst.due = time.monotonic() + burst.delay
            if burst.delay:
                return False
        most = min(len(burst.words), burst.order.sampling.max_tokens)
        word = burst.words[burst.said : min(burst.said + 1, most)]
        burst.said += len(word)
        burst.due = now + burst.delay
        ended = burst.said >= most
        self._report(burst, word, ended=ended, cut=most < len(burst.words))
        return ended

    def _report(
        self, burst: _Burst, word: Sequence[str] = (), *, ended: bool = False, cut: bool = False
    ) -> None:
        first, burst.counted = not burst.counted, True
        calls = burst.calls if ended and not cut else []
        prompt = sum(len(message.content.split()) for message in burst.order.messages)
        done = "length" if cut else "tool_calls" if calls else "stop"
        report = StepReport.model_validate(
            {
                "burst": burst.order.burst,
                "attempt": burst.order.attempt,
                "index": burst.said - len(word),
                "tokens": [burst.said - 1] if word else [],
                "text": "".join(word),
                "prompt_tokens": prompt if first else None,
                "tool_calls": calls,
                "finish": done if ended else None,
            }
        )
        self.say(Report(steps=[report]))

    def _fail(self, burst: _Burst, error: LLMOSError) -> None:
        report = StepReport(
            burst=burst.order.burst,
            attempt=burst.order.attempt,
            index=burst.said,
            prompt_tokens=None if burst.counted else 0,
            finish="error",
            error=ErrorRecord.of(error),
        )
        self.say(Report(steps=[report]))
