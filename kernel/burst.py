"""A burst: one LLM call of one process, from admission to its last token.

It knows nothing about queues or drivers; those move it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from llmagentos.abi.driver import ChatMessage, Finish, StepReport
from llmagentos.abi.errors import EPROTO
from llmagentos.abi.manifest import Sampling
from llmagentos.abi.process import Usage

if TYPE_CHECKING:
    from kernel.calls import Call
    from kernel.process import Process


@dataclass(slots=True, eq=False)
class Burst:
    """``driver`` is where it runs, or, while ``kept``, where its KV waits for it. ``state``:
    queued for a slot, running in one, or held by a STOP."""

    id: int
    number: int
    """Which of its process's answers this is. A call that is repeated after a crash of the kernel
    gets the same number, so a reader knows what it has heard."""
    process: Process
    call: Call
    models: tuple[str, ...]
    messages: tuple[ChatMessage, ...]
    sampling: Sampling
    append: bool
    added: int
    """How many of ``messages``, from the end, are not in the context yet."""
    submitted: float
    state: Literal["queued", "running", "held"] = "queued"
    queue: tuple[object, ...] = ()
    attempt: int = 0
    model: str = ""
    driver: str | None = None
    kept: bool = False
    started: float | None = None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    prompt_tokens: int = 0
    reserved: int = 0
    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    finish: Finish | None = None

    @property
    def demand(self) -> tuple[object, ...]:
        """What a driver must offer for it; bursts with the same demand share a queue."""
        process, pinned = self.process, self.driver if self.kept else None
        prefer = process.spec.placement.prefer
        rules = tuple((*r.allow, "", *r.ask, "", *r.deny) for r in process.rights)
        return self.models, process.places, prefer, process.labels, rules, pinned

    def accept(self, step: StepReport) -> bool:
        """Take in a report; False if it was heard before or is of an earlier attempt. Raises
        ``EPROTO`` if tokens are missing."""
        if step.attempt != self.attempt or step.index < len(self.tokens):
            return False
        if step.index > len(self.tokens):
            raise EPROTO(
                f"burst {self.id} has {len(self.tokens)} tokens and the driver goes on at "
                f"{step.index}"
            )
        if len(self.tokens) + len(step.tokens) > self.sampling.max_tokens:
            raise EPROTO(
                f"burst {self.id} may have {self.sampling.max_tokens} tokens, and the driver "
                f"made {len(self.tokens) + len(step.tokens)}"
            )
        self.tokens += step.tokens
        self.text += step.text
        if step.prompt_tokens is not None:
            self.prompt_tokens = max(self.prompt_tokens, step.prompt_tokens)
        self.prefill_seconds += step.prefill_seconds
        self.decode_seconds += step.decode_seconds
        self.finish = step.finish
        return True

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=len(self.tokens),
            turns=1,
            queue_seconds=round(self.queue_seconds, 6),
            prefill_seconds=round(self.prefill_seconds, 6),
            decode_seconds=round(self.decode_seconds, 6),
        )
