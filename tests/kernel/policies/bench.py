"""A driver's slots and the bursts for them, token by token: all of the scheduler that a policy
can see.

A token takes ``step`` seconds in every slot. A prompt is counted with its first token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernel.policies import Policy


@dataclass(eq=False)
class Stub:
    """What a policy may read of a burst, and what only the bench knows: how long it is."""

    id: int
    submitted: float = 0.0
    admitted: float = 0.0
    priority: int = 0
    tree: int = 1
    weight: float = 1.0
    due: float | None = None
    estimate: int = 0
    prompt_tokens: int = 0
    prefill_weight: float = 0.5
    tokens: list[int] = field(default_factory=list)
    prompt: int = 10
    length: int = 1


READ_BY_POLICIES = (
    "id", "submitted", "admitted", "priority", "tree", "weight", "due", "estimate",
    "prompt_tokens", "prefill_weight", "tokens",
)  # fmt: skip


def ignore(burst: Stub) -> None:
    pass


class Bench:
    def __init__(self, policy: Policy, slots: int, step: float = 1.0) -> None:
        self.policy: Any = policy
        """It takes stubs for bursts."""
        self.queue: Any = policy.queue()
        self.slots = slots
        self.step = step
        self.now = 0.0
        self.waiting: list[Stub] = []
        self.running: list[Stub] = []
        self.ran: dict[int, int] = {}
        self.on_start: Callable[[Stub], None] = ignore
        self.on_token: Callable[[Stub], None] = ignore
        self.on_done: Callable[[Stub], None] = ignore

    def submit(self, burst: Stub) -> None:
        burst.admitted = self.now
        self._enqueue(burst)

    def fill(self) -> None:
        """Give the free slots away."""
        while len(self.running) < self.slots:
            burst = self.queue.first(self.now)
            if burst is None:
                return
            self.policy.leave(burst, self.now)
            self.queue.remove(burst)
            self.waiting.remove(burst)
            self.running.append(burst)
            self.ran[burst.id] = 0
            self.policy.start(burst, self.now)
            self.on_start(burst)

    def tick(self, arrivals: list[Stub] | None = None) -> None:
        """One token in every slot; at its end the ``arrivals`` come in."""
        self.now += self.step
        for burst in arrivals or ():
            self.submit(burst)
        for burst in list(self.running):
            counted = burst.prompt - burst.prompt_tokens
            burst.prompt_tokens = burst.prompt
            burst.tokens.append(0)
            self.ran[burst.id] += 1
            self.policy.serve(burst, counted, 1, self.now)
            self.on_token(burst)
            if len(burst.tokens) == burst.length:
                self.running.remove(burst)
                self.policy.end(burst, self.now)
                self.on_done(burst)
        self.fill()
        for burst in list(self.running):
            if self._is_over(burst):
                self.running.remove(burst)
                self._enqueue(burst)
                self.fill()

    def _is_over(self, burst: Stub) -> bool:
        quantum = self.policy.quantum
        if not quantum or self.ran[burst.id] < quantum:
            return False
        waiting = self.queue.first(self.now)
        return waiting is not None and self.policy.yields(burst, waiting, self.now)

    def _enqueue(self, burst: Stub) -> None:
        burst.submitted = self.now
        self.policy.arrive(burst, self.now)
        self.queue.push(burst)
        self.waiting.append(burst)
