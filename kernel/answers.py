"""Answers: what becomes of a burst's tokens. They are streamed to whoever listens, charged to
the process, appended to its context, and returned to the caller.

It knows nothing about where the tokens come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel import ledger
from kernel.burst import Burst
from kernel.calls import Call
from kernel.effects import Send
from kernel.table import payers, token_lines, turn_lines
from llmagentos.abi.calls.llm import GenerateResult, StreamBody
from llmagentos.abi.errors import EQUOTA, LLMOSError
from llmagentos.abi.wire import Message

if TYPE_CHECKING:
    from kernel.machine import Machine


class Answers:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel

    def reserve(self, burst: Burst) -> None:
        """Set aside what the burst may use at most, as far as that is known before its prompt
        has been counted. Raises ``EQUOTA``."""
        process = burst.process
        ledger.reserve("turns", 1, turn_lines(process))
        try:
            ledger.reserve("tokens", burst.sampling.max_tokens, token_lines(process))
        except EQUOTA:
            ledger.settle(1, 0, turn_lines(process))
            raise
        burst.reserved = burst.sampling.max_tokens

    def release(self, burst: Burst) -> None:
        """The burst was not admitted."""
        process = burst.process
        ledger.settle(1, 0, turn_lines(process))
        ledger.settle(burst.reserved, 0, token_lines(process))

    def counted(self, burst: Burst, tokens: int) -> None:
        """The driver has counted the prompt, or counted more of it than another did: reserve
        these tokens too, or end the burst."""
        lines = token_lines(burst.process)
        try:
            ledger.reserve("tokens", tokens, lines)
        except EQUOTA as error:
            self._kernel.scheduler.fail(burst, error)
        else:
            burst.reserved += tokens

    def text(self, burst: Burst, before: int) -> None:
        """New text came: pass it on."""
        fresh = burst.text[before:]
        if burst.call.stream:
            self._stream(burst.call, burst, before, fresh)
        for watcher in burst.process.watchers:
            if watcher.stream:
                self._stream(watcher, burst, before, fresh)

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
                kernel.append(process, one.role, one.content)
            message = kernel.append(process, "assistant", burst.text).id
            process.context_tokens = burst.prompt_tokens + len(burst.tokens)
        kernel.journal.event(
            kernel.now, "burst.done", process.pid, burst=burst.id, driver=burst.driver,
            finish=burst.finish, prompt_tokens=burst.prompt_tokens,
            completion_tokens=len(burst.tokens),
        )  # fmt: skip
        result = GenerateResult(
            text=burst.text,
            finish=burst.finish,
            model=burst.model,
            driver=burst.driver or "",
            usage=burst.usage(),
            tokens=burst.tokens,
            message=message,
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
        used = burst.prompt_tokens + len(burst.tokens)
        ledger.settle(burst.reserved, used, token_lines(process))
        ledger.settle(1, 1 if burst.started and turn else 0, turn_lines(process))
        if burst.started:
            usage = burst.usage()
            process.usage += usage if turn else usage.model_copy(update={"turns": 0})
        for account in payers(process):
            self._kernel.changed(account)

    def _stream(self, call: Call, burst: Burst, offset: int, text: str) -> None:
        body = StreamBody(burst=burst.number, offset=offset, text=text).model_dump()
        message = Message("stream", call.id, call.spec.name, body=body)
        self._kernel.effects.sends.append(Send(call.peer, message))
