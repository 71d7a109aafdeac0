"""Answers: what becomes of a burst's tokens. They are streamed to whoever listens, charged to
the process, appended to its context, and returned to the caller.

It knows nothing about where the tokens come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import budget, ledger, lifecycle
from kernel.burst import Burst
from kernel.calls import Call
from kernel.effects import Send
from kernel.ledger import chain
from llmagentos.abi.calls.llm import GenerateResult, StreamBody
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.wire import Message, encode

if TYPE_CHECKING:
    from kernel.machine import Machine


class Answers:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel

    def text(self, burst: Burst, before: int) -> None:
        """New text came: pass it on."""
        fresh = burst.text[before:]
        if burst.call.stream:
            self._stream(burst.call, burst, before, fresh)
        for watcher in burst.process.watchers:
            if watcher.stream:
                self._stream(watcher, burst, before, fresh)

    def begun_anew(self, burst: Burst) -> None:
        """What was passed on of it is void."""
        self.text(burst, 0)

    def so_far(self, call: Call, burst: Burst) -> None:
        """Somebody starts to listen in the middle of an answer, or again after a reconnect."""
        if burst.text:
            self._stream(call, burst, 0, burst.text)

    def done(self, burst: Burst) -> None:
        self._charge(burst)
        kernel, process = self._kernel, burst.process
        assert burst.finish is not None
        message = None
        if burst.append:
            given = burst.messages[len(burst.messages) - burst.added :] if burst.added else ()
            for one in given:
                kernel.append(process, one)
            message = kernel.append(process, burst.answer()).id
            process.context_tokens = burst.prompt_tokens + burst.made
        kernel.journal.event(
            kernel.now, "burst.done", process.pid, burst=burst.id, driver=burst.driver,
            finish=burst.finish, prompt_tokens=burst.prompt_tokens,
            completion_tokens=burst.made, recalled_tokens=burst.recalled,
        )  # fmt: skip
        result = GenerateResult(
            text=burst.text,
            finish=burst.finish,
            model=burst.model,
            driver=burst.driver or "",
            usage=burst.usage(),
            tokens=burst.tokens if burst.numbered else [],
            tool_calls=burst.tool_calls,
            message=message,
            logprobs=burst.logprobs if burst.sampling.logprobs is not None else None,
        )
        kernel.calls.complete(burst.call, result)
        kernel.settle(process, f"burst {burst.id} is done")

    def failed(self, burst: Burst, error: LLMOSError) -> None:
        self._charge(burst)
        kernel, process = self._kernel, burst.process
        kernel.journal.event(
            kernel.now, "burst.failed", process.pid, burst=burst.id, driver=burst.driver,
            error=error.code, completion_tokens=len(burst.tokens),
        )  # fmt: skip
        kernel.calls.refuse(burst.call, error, keep=True)
        kernel.settle(process, f"burst {burst.id} failed: {error.code}")

    def dropped(self, burst: Burst, *, void: bool) -> None:
        """The burst was cancelled: the tokens that it used are charged all the same. ``void``: it
        will be made again, by no fault of the process, so it was no turn of its."""
        self._charge(burst, turn=not void)
        self._kernel.journal.event(
            self._kernel.now, "burst.cancelled", burst.process.pid, burst=burst.id,
            completion_tokens=len(burst.tokens),
        )  # fmt: skip

    def _charge(self, burst: Burst, *, turn: bool = True) -> None:
        process = burst.process
        process.bursts.discard(burst)
        turn = turn and burst.started is not None
        excess = budget.settle(burst, self._kernel.now, turn=turn)
        if excess:
            self._kernel.journal.event(
                self._kernel.now, "budget.exceeded", process.pid, burst=burst.id,
                driver=burst.driver, money=excess / ledger.MONEY,
            )  # fmt: skip
        if burst.started:
            usage = burst.usage()
            process.usage += usage if turn else usage.model_copy(update={"turns": 0})
        for one in chain(process):
            self._kernel.changed(one)

    def _stream(self, call: Call, burst: Burst, offset: int, text: str) -> None:
        lifecycle.taint(self._kernel, call.process, burst.process)
        body = StreamBody(
            burst=burst.number, offset=offset, text=text, restarts=burst.restarts
        ).model_dump()
        frames = encode(Message("stream", call.id, call.spec.name, body=body))
        self._kernel.effects.sends.append(Send(call.peer, frames))
