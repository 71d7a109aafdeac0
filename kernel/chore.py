"""A chore: one call of a built-in tool, which the kernel carries out itself, as a syscall of the
process.

What comes of it goes into the context in the step in which it is done, an error too, so it is
never done twice. While it waits, for a child or for an approval, it belongs to the call: if that
is dropped, nothing was done. It knows nothing about which tools there are.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kernel import ledger
from kernel.builtin import DRIVER, Builtin
from kernel.calls import DEFERRED, Buffered, Call, Deferred
from kernel.envelope import too_large
from llmagentos.abi import wire
from llmagentos.abi.calls.tool import CallArgs, CallResult
from llmagentos.abi.errors import ETIMEOUT, LLMOSError
from llmagentos.abi.model import Json, Model
from llmagentos.abi.process import Usage

if TYPE_CHECKING:
    from kernel.machine import Machine

_MOST: Final = wire.MAX_BODY - 4096
"""Bytes of a result: it must fit into the reply, with what goes beside it."""


class Chore:
    def __init__(self, kernel: Machine, call: Call, args: CallArgs, tool: Builtin) -> None:
        self._kernel = kernel
        self._call = call
        self._process = call.process
        self._tool = tool
        self._append = args.append
        # The usual one is meant for drivers: a child, or mail, is waited for as long as it takes.
        self._timeout = args.timeout if "timeout" in args.model_fields_set else None
        self._started = kernel.now

    def begin(self, given: Any) -> Deferred:
        """``given``: the arguments of the syscall. Raises ``EQUOTA``, and ``EBUSY`` if this very
        call is under way."""
        self._given = given
        ledger.reserve(self._process, "tool_calls", 1)
        if self._append is not None:
            try:
                self._kernel.wanted.hold(self._process, self._append)
            except LLMOSError:
                ledger.settle(self._process, "tool_calls", 1, 0)
                raise
        inner = self._kernel.calls.within(self._call, self._tool.call, given, self._over)
        if not self._call.done:
            self._call.on_close = partial(self._dropped, inner)
            if self._timeout is not None:
                self._kernel.calls.expire(self._call, self._timeout, self._overdue)
        return DEFERRED

    def _over(self, outcome: Model | Buffered | LLMOSError) -> None:
        self._leave(1)
        if isinstance(outcome, LLMOSError):
            self._failed(outcome)
            return
        try:
            content = self._tool.show(outcome, self._given)
            _check_size(content)
        except LLMOSError as error:
            self._failed(error)
            return
        self._event(None)
        result = CallResult(
            content=content,
            driver=DRIVER,
            seconds=round(self._kernel.now - self._started, 6),
            labels=list(self._process.labels),
        )
        if self._append is not None:
            result = self._kernel.wanted.settle(self._process, self._append, result)
        self._kernel.calls.complete(self._call, result)

    def _failed(self, error: LLMOSError) -> None:
        """Which is a result as well: the model is told."""
        kernel = self._kernel
        self._event(error.code)
        if self._append is None:
            kernel.calls.refuse(self._call, error, keep=True)
        else:
            told = kernel.wanted.fail(self._process, self._append, DRIVER, error)
            kernel.calls.complete(self._call, told)

    def _overdue(self) -> ETIMEOUT:
        return ETIMEOUT(
            f"tool {self._tool.name} took longer than {self._timeout:g} s",
            hint="nothing was done; call it again to wait on",
        )

    def _dropped(self, inner: Call) -> None:
        """Nobody waits for it any more."""
        if not inner.done:
            self._kernel.calls.abandon(inner)
            self._leave(0)

    def _leave(self, made: int) -> None:
        if self._append is not None:
            self._kernel.wanted.release(self._process, self._append)
        ledger.settle(self._process, "tool_calls", 1, made)
        self._process.usage += Usage(tool_calls=made)
        for one in ledger.chain(self._process):
            self._kernel.changed(one)

    def _event(self, error: str | None) -> None:
        self._kernel.journal.event(
            self._kernel.now, "tool.done", self._process.pid, tool=self._tool.name, error=error
        )


def _check_size(content: Json) -> None:
    """Raises ``EQUOTA`` for what no driver's tool could give either: in the context it would be too
    much for any reply, and so for whoever wants to go on from there."""
    size = len(wire.pack(content))
    if size > _MOST:
        raise too_large(size)
