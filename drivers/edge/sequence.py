"""A sequence: one burst inside the engine, from its prompt to its finish.

It knows which tokens it has and what they read as; it knows nothing about tensors, batches or
other sequences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.edge.calls import Calls
from drivers.edge.detokenizer import Detokenizer
from drivers.edge.dialect import HERMES, Dialect
from llmagentos.abi.driver import Finish, Start, StepReport
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.logprob import ChosenLogprob
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.talk import ToolCall

if TYPE_CHECKING:
    from drivers.edge.cache import Prefix
    from drivers.edge.grammar import Matcher


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Of a tokenizer, what a sequence needs: how tokens read, how a text is written in them without
    anything around it, which of them end it, and how calls of tools are written."""

    decode: Callable[[list[int]], str]
    encode: Callable[[str], list[int]]
    eos: frozenset[int]
    dialect: Dialect = HERMES


class Sequence:
    """``prompt`` and ``tokens`` (the answer so far) are token ids. ``matcher``: of its grammar.

    ``prefix`` is its KV while it is not in the batch; ``cached``: how many of its tokens had been
    read before it came; ``finish`` is set when it has ended, and so are the ``tool_calls`` that it
    wants made.
    """

    def __init__(
        self,
        order: Start,
        prompt: list[int],
        vocabulary: Vocabulary,
        matcher: Matcher | None = None,
    ) -> None:
        self.order = order
        self.matcher = matcher
        self.cached = 0
        self.prompt = prompt
        self.tokens: list[int] = []
        self.prefix: Prefix | None = None
        self.finish: Finish | None = None
        self.tool_calls: list[ToolCall] = []
        may_call = order.tools and order.tool_choice != "none"
        self._calls = Calls(order.burst, vocabulary.dialect) if may_call else None
        self._eos = vocabulary.eos
        self._detokenizer = Detokenizer(vocabulary.decode, order.sampling.stop)
        self._said_prompt = False
        given = order.accepted if order.text is None else vocabulary.encode(order.text)
        # Whoever made the text may have counted it otherwise than this vocabulary does.
        self._shift = len(order.accepted) - len(given)
        self._repeats = 0
        shown = ""
        for token in given:
            if self.finish is None:
                shown += self.accept(token)  # its text was reported by whoever made it
        if self.finish is None and self.left <= 0:
            self.finish = "length"  # of a text that has no tokens here
        if order.text is not None:
            # What a stop string or a call may begin with is held back here, and was perhaps shown
            # there.
            self._repeats = max(0, len(order.text) - len(shown))

    @property
    def burst(self) -> int:
        return self.order.burst

    @property
    def call(self) -> str:
        """What of its text is a call of a tool, or may become one."""
        return self._calls.held.lstrip() if self._calls is not None else ""

    @property
    def left(self) -> int:
        """How many tokens it may still get."""
        return self.order.sampling.max_tokens - len(self.tokens) - self._shift

    @property
    def to_prefill(self) -> list[int]:
        """What must be read before the next token can be chosen."""
        return self.prompt + self.tokens

    @property
    def seed(self) -> int:
        """The kernel gives one; without it any will do that another driver would choose too."""
        seed = self.order.sampling.seed
        return self.order.burst if seed is None else seed

    def accept(self, token: int) -> str:
        """One more token of the answer; the text that became certain. May set ``finish``.

        The token that ends the answer belongs to ``tokens``, as in transformers' ``generate``,
        and not to the text.
        """
        self.tokens.append(token)
        if self.matcher is not None:
            self.matcher.accept(token)
        text = self._read(token)
        if self._calls is not None:
            text = self._calls.push(text)
            if self.finish is not None:
                rest, self.tool_calls = self._calls.finish(cut=self.finish == "length")
                text += rest
                self.finish = "tool_calls" if self.tool_calls else self.finish
        return self._fresh(text)

    def report(
        self,
        tokens: list[int],
        text: str,
        *,
        logprobs: list[ChosenLogprob] | None = None,
        prefill_seconds: float = 0.0,
        decode_seconds: float = 0.0,
    ) -> StepReport:
        """What it got in one step; ``tokens`` are in ``self.tokens`` already."""
        first, self._said_prompt = not self._said_prompt, True
        cached, self.cached = self.cached, 0
        return StepReport(
            burst=self.burst,
            attempt=self.order.attempt,
            index=len(self.tokens) + self._shift - len(tokens),
            tokens=tokens,
            text=text,
            logprobs=logprobs,
            prompt_tokens=len(self.prompt) if first else None,
            cached_tokens=cached,
            prefill_seconds=prefill_seconds,
            decode_seconds=decode_seconds,
            tool_calls=self.tool_calls,
            finish=self.finish,
        )

    def failure(self, error: LLMOSError) -> StepReport:
        """It ends here, with this error."""
        return StepReport(
            burst=self.burst,
            attempt=self.order.attempt,
            index=len(self.tokens) + self._shift,
            finish="error",
            error=ErrorRecord.model_validate(error.to_wire()),
        )

    def _read(self, token: int) -> str:
        """What became readable with it."""
        if token in self._eos:
            self.finish = "stop"
            return self._end()
        text = self._detokenizer.push(token)
        if self._detokenizer.stopped:
            self.finish = "stop_string"
        elif self.left <= 0:
            self.finish = "length"
            text += self._end()
        return text

    def _fresh(self, text: str) -> str:
        """Without what was shown before it came here."""
        fresh = text[self._repeats :]
        self._repeats -= len(text) - len(fresh)
        return fresh

    def _end(self) -> str:
        text = self._detokenizer.finish()
        if self._detokenizer.stopped:
            self.finish = "stop_string"
        return text
