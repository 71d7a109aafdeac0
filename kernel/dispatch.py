"""The one path of every syscall: authenticate, look for a repeat, decode, check rights, act,
reply. And the calls that are under way on it.

It knows nothing about what any call does: the handlers are in ``syscalls/``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from kernel import checks, envelope
from kernel.calls import Buffered, Call, Deferred, Sink, Written
from kernel.config import StoreFailed
from kernel.failures import told
from kernel.process import Process
from kernel.rights import Asked
from kernel.syscalls import HANDLERS
from kernel.table import digest
from llmagentos.abi import errors, wire
from llmagentos.abi.calls.sys import PingResult
from llmagentos.abi.model import Model
from llmagentos.abi.syscalls import Syscall
from llmagentos.abi.wire import Message

if TYPE_CHECKING:
    from kernel.machine import Machine


class Dispatch:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self.served = 0
        self._calls: dict[tuple[str, int], Call] = {}

    def call(self, peer: bytes, message: Message) -> None:
        """The one path of every syscall."""
        self.served += 1
        kernel = self._kernel
        kernel.connections.heard(peer)
        caller: Process | None = None
        try:
            if message.name == "sys.ping" and not message.session:
                self._ping(peer, message)
                return
            caller, scope = self._authenticate(peer, message)
            if self._repeated(peer, scope, message):
                return
            spec = envelope.called(message)
            args = envelope.arguments(spec, message)
            question = checks.check(kernel, caller, spec, args)
            _check_open(caller, kernel.config.calls_open)
        except StoreFailed:
            raise
        except Exception as found:
            body = envelope.failed(told(self._kernel, caller, message.name, found))
            kernel.replies.say(peer, message.id, message.name, body)
            return
        self._admit(Call(peer, message.id, spec, caller, scope, message.buffers), question, args)

    def within(self, outer: Call, spec: Syscall, args: Any, sink: Sink) -> Call:
        """Make a call for another one and for its process, by the same path but for the caller,
        who is known already. ``sink`` gets its result or its error, perhaps at once."""
        call = Call(outer.peer, outer.id, spec, outer.process, outer.scope)
        call.outer, call.sink = outer, sink
        try:
            question = checks.check(self._kernel, call.process, spec, args)
        except Exception as found:
            self.refuse(call, told(self._kernel, call.process, spec.name, found))
        else:
            # Whoever was asked for the outer one was asked for this as well.
            call.approved = bool(question) and set(question) <= set(outer.granted)
            self._admit(call, () if call.approved else question, args)
        return call

    def _admit(self, call: Call, question: Asked, args: Any) -> None:
        """It may be carried out, once the question is answered, if there is one."""
        approvals = self._kernel.approvals
        if question and not approvals.allows(call, question, args):
            self.go_on(call, approvals.park, question, args)
        else:
            self.proceed(call, args)

    def proceed(self, call: Call, args: Any) -> None:
        """Rights are settled: carry the call out."""
        self.go_on(call, HANDLERS[call.spec.name], args)

    def go_on(self, call: Call, handler: Callable[..., Any], *args: Any) -> None:
        """Carry out what is left of the call: the handler may complete it, defer it, or raise."""
        try:
            outcome = handler(self._kernel, call, *args)
        except StoreFailed:
            raise
        except Exception as found:
            self.refuse(call, told(self._kernel, call.process, call.spec.name, found))
        else:
            if isinstance(outcome, Deferred):
                self._defer(call)
            else:
                self.complete(call, outcome)

    def _ping(self, peer: bytes, message: Message) -> None:
        now = self._kernel.now
        result = PingResult(time=now, uptime=now - self._kernel.booted)
        self._kernel.replies.say(peer, message.id, message.name, envelope.ok(result))

    def _authenticate(self, peer: bytes, message: Message) -> tuple[Process, str]:
        """Whose call it is, and the scope in which its id is unique."""
        token = message.session
        if not token:
            raise errors.EAUTH(
                "the call carries no session",
                hint="the user's key is in LLMOS_HOME/user.key; proc.adopt gives a session",
            )
        process = self._kernel.table.of_session(hashed := _hashed(token))
        if process is not None:
            return process, hashed
        if hmac.compare_digest(token.encode(), self._kernel.services.user_key.encode()):
            return self._kernel.table.init, self._kernel.connections.user_scope(peer)
        raise errors.EAUTH(
            "the session is unknown, or its process has ended",
            hint="connect again to get a new one",
        )

    def _repeated(self, peer: bytes, scope: str, message: Message) -> bool:
        """Whether this call was heard before; then the first one answers for it."""
        kept = self._kernel.replays.find(scope, message.id)
        if kept is not None:
            _check_same(message, kept.name)
            self._kernel.replies.say(peer, message.id, kept.name, kept.body)
            return True
        running = self._calls.get((scope, message.id)) if self._calls else None
        if running is None:
            return False
        _check_same(message, running.spec.name)
        self._kernel.connections.move(running, peer)
        watched = running.awaited.bursts if running.awaited else {running.burst}
        for burst in watched:
            if burst is not None and running.stream:
                self._kernel.answers.so_far(running, burst)
        return True

    def _defer(self, call: Call) -> None:
        """The reply comes later: put the call on the lists of calls in flight."""
        if call.done:
            return
        if call.outer is not None:
            call.outer.waits = call.waits
            if call.outer.deferred:
                self._kernel.settle(call.process, f"it waits for {call.spec.name}")
            return
        call.deferred = True
        self._calls[call.scope, call.id] = call
        call.process.calls.add(call)
        self._kernel.connections.opened(call)
        if call.waits:
            self._kernel.settle(call.process, f"it waits for {call.spec.name}")

    # -- endings -----------------------------------------------------------------------------

    def complete(self, call: Call, result: Model | Buffered | Written) -> None:
        """The call succeeded."""
        if call.sink is not None:
            if self._close(call):
                self._hand_over(call, result.result if isinstance(result, Written) else result)
            return
        buffers: tuple[bytes, ...] = ()
        try:
            if isinstance(result, Buffered):
                body, buffers = envelope.ok(result.result), result.buffers
            elif isinstance(result, Written):
                body = result.body
            else:
                body = envelope.ok(result)
        except Exception as found:
            body = envelope.failed(told(self._kernel, call.process, call.spec.name, found))
        if len(body) > wire.MAX_BODY:
            # The receiver would refuse it. A call that wrote has taken effect all the same.
            body = envelope.failed(envelope.too_large(len(body)))
        if self._close(call):
            if call.spec.writes:
                self._kernel.replies.keep(call, body)
            self._kernel.replies.send(call, body, buffers)

    def refuse(self, call: Call, error: errors.LLMOSError, *, keep: bool = False) -> None:
        """The call failed. ``keep``: a repeat of it gets the same error, not a second try."""
        if self._close(call):
            if call.sink is not None:
                self._hand_over(call, error)
                return
            body = envelope.failed(error)
            if keep:
                self._kernel.replies.keep(call, body)
            self._kernel.replies.send(call, body)

    def _hand_over(self, call: Call, outcome: Model | Buffered | errors.LLMOSError) -> None:
        """To the call that this one was made for. A bug there is that one's affair alone: by now it
        may be anybody's message that we are at."""
        assert call.sink is not None
        assert call.outer is not None
        try:
            call.sink(outcome)
        except StoreFailed:
            raise
        except Exception as found:
            self.refuse(call.outer, told(self._kernel, call.process, call.outer.spec.name, found))

    def expire(self, call: Call, seconds: float, error: Callable[[], errors.LLMOSError]) -> None:
        """Refuse the call with this error if it is still open after so long."""
        self._kernel.timers.set(
            ("call", call), self._kernel.now + seconds, lambda: self.refuse(call, error())
        )

    def cancel_calls(
        self, process: Process, error: errors.LLMOSError, *, void: bool = False
    ) -> int:
        """End all calls in flight of a process with this error; how many there were. ``void``:
        they will be made again."""
        calls = list(process.calls)
        for call in calls:
            call.void = void
            self.cancel_burst(call, void=void)
            self.refuse(call, error)
        if not void:
            self._kernel.jobs.forget(process)
        return len(calls)

    def drop_calls(self, process: Process, why: str, *, void: bool = False) -> None:
        error = errors.ECANCELED(f"the call was cancelled: {why}")
        self.cancel_calls(process, error, void=void)

    def abandon(self, call: Call, *, void: bool = False) -> None:
        """Nobody is there any more to hear the reply: don't do the work."""
        call.void = void
        self.cancel_burst(call, void=void)
        self._close(call)

    def cancel_burst(self, call: Call, *, void: bool = False) -> None:
        if call.burst is not None and not call.done:
            self._kernel.scheduler.cancel(call.burst)
            self._kernel.answers.dropped(call.burst, void=void)
            self._kernel.settle(call.process, f"burst {call.burst.id} was cancelled")

    def _close(self, call: Call) -> bool:
        """Take a call off every list that it is on; False if that was done before."""
        if call.done:
            return False
        call.done = True
        call.buffers = ()  # a timer that was cancelled still knows the call, perhaps for a year
        if call.on_close is not None:
            call.on_close()
        if call.outer is not None:
            self._kernel.timers.cancel(("call", call))
        if call.deferred:
            del self._calls[call.scope, call.id]
            call.process.calls.discard(call)
            self._kernel.connections.closed(call)
            self._kernel.timers.cancel(("call", call))
            if call.waits:
                self._kernel.settle(call.process, f"its {call.spec.name} is over")
        return True


_MOST_HELD: Final = 16 * 1024 * 1024
"""Bytes of replies that wait for one stopped process."""

_hashed: Final = lru_cache(maxsize=4096)(digest)


def _check_open(caller: Process, most: int) -> None:
    if caller.held and (len(caller.held) >= most or caller.held_bytes > _MOST_HELD):
        raise errors.EBUSY(
            f"process {caller.pid} is stopped, and {len(caller.held)} replies wait for it",
            hint="it goes on with CONT",
        )
    if len(caller.calls) >= most:
        raise errors.EBUSY(
            f"process {caller.pid} waits for the replies to {len(caller.calls)} calls, the most "
            f"it may",
            hint="wait for some of them",
        )


def _check_same(message: Message, name: str) -> None:
    """An id that is used again must be for the same call."""
    if message.name != name:
        raise errors.EPROTO(
            f"id {message.id} was used for {name} before, and can't be used for {message.name}",
            hint="ids grow, and none is used twice",
        )
