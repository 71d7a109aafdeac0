"""The one path of every syscall: authenticate, look for a repeat, decode, check rights, act,
reply. And the calls that are under way on it.

It knows nothing about what any call does: the handlers are in ``syscalls/``.
"""

from __future__ import annotations

import hmac
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from kernel import rights
from kernel.calls import Call, Deferred
from kernel.connections import SHARED
from kernel.effects import Send
from kernel.process import Process
from kernel.syscalls import HANDLERS
from kernel.table import digest
from llmagentos.abi import errors
from llmagentos.abi.calls.sys import PingResult
from llmagentos.abi.model import Model
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.syscalls import TABLE, Syscall
from llmagentos.abi.wire import Message

if TYPE_CHECKING:
    from kernel.machine import Machine


class Dispatch:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self.served = 0
        self._calls: dict[tuple[str, int], Call] = {}
        self._current: Call | None = None

    def call(self, peer: bytes, message: Message) -> None:
        """The one path of every syscall."""
        self.served += 1
        self._kernel.connections.heard(peer)
        caller: Process | None = None
        call: Call | None = None
        try:
            if message.name == "sys.ping" and not message.session:
                result = PingResult(
                    time=self._kernel.now, uptime=self._kernel.now - self._kernel.booted
                )
                self._reply(peer, message.id, message.name, _ok(result))
                return
            caller, scope = self._authenticate(peer, message)
            if self._repeated(peer, scope, message):
                return
            spec = _spec(message)
            args = _arguments(spec, message.body)
            rights.check(self._kernel.table, caller, spec, args, self._kernel.config.default_model)
            call = self._open(peer, message, spec, caller, scope)
            outcome = HANDLERS[spec.name](self._kernel, call, args)
        except errors.LLMOSError as error:
            if isinstance(error, errors.DeniedError):
                pid = caller.pid if caller else 0
                self._kernel.journal.audit(
                    self._kernel.now, pid, message.name[:64], error.code, error.message
                )
            self._drop(call)
            self._reply(peer, message.id, message.name, _failed(error))
        except Exception as error:
            # A bug in a handler must not take the kernel, and everybody else, down with it.
            self._drop(call)
            self._kernel.journal.event(
                self._kernel.now, "kernel.bug", caller.pid if caller else None,
                call=message.name, error=f"{type(error).__name__}: {error}"[:500],
            )  # fmt: skip
            bug = errors.EIO(
                f"{message.name} failed inside the kernel: {type(error).__name__}",
                hint="this is a bug; llmos events shows it as kernel.bug",
            )
            self._reply(peer, message.id, message.name, _failed(bug))
        else:
            if not isinstance(outcome, Deferred):
                self.complete(call, outcome)
        self._current = None

    def _authenticate(self, peer: bytes, message: Message) -> tuple[Process, str]:
        """Whose call it is, and the scope in which its id is unique."""
        token = message.session
        if not token:
            raise errors.EAUTH(
                "the call carries no session",
                hint="the user's key is in LLMOS_HOME/user.key; proc.adopt gives a session",
            )
        if hmac.compare_digest(token.encode(), self._kernel.services.user_key.encode()):
            return self._kernel.table.init, self._kernel.connections.user_scope(peer)
        process = self._kernel.table.of_session(hashed := digest(token))
        if process is None:
            raise errors.EAUTH(
                "the session is unknown, or its process has ended",
                hint="connect again to get a new one",
            )
        return process, hashed

    def _repeated(self, peer: bytes, scope: str, message: Message) -> bool:
        """Whether this call was heard before; then the first one answers for it."""
        kept = self._kernel.replays.find(scope, message.id)
        if kept is not None:
            _check_same(message, kept.name)
            reply = Message("reply", message.id, kept.name, body=kept.reply)
            self._kernel.effects.sends.append(Send(peer, reply))
            return True
        running = self._calls.get((scope, message.id))
        if running is None:
            return False
        _check_same(message, running.spec.name)
        self._kernel.connections.move(running, peer)
        watched = running.awaited.bursts if running.awaited else {running.burst}
        for burst in watched:
            if burst is not None and running.stream:
                self._kernel.answers.so_far(running, burst)
        return True

    def _open(
        self, peer: bytes, message: Message, spec: Syscall, caller: Process, scope: str
    ) -> Call:
        call = Call(peer, message.id, spec, caller, scope)
        self._calls[scope, message.id] = call
        self._current = call
        caller.calls.add(call)
        self._kernel.connections.opened(call)
        return call

    # -- replies -----------------------------------------------------------------------------

    def complete(self, call: Call, result: Model) -> None:
        """The call succeeded."""
        body = _ok(result)
        if self._close(call):
            if call.spec.writes:
                self._keep(call, body)
            self._answer(call, body)

    def refuse(self, call: Call, error: errors.LLMOSError, *, keep: bool = False) -> None:
        """The call failed. ``keep``: a repeat of it gets the same error, not a second try."""
        body = _failed(error)
        if self._close(call):
            if keep:
                self._keep(call, body)
            self._answer(call, body)

    def cancel_calls(
        self, process: Process, error: errors.LLMOSError, *, void: bool = False
    ) -> int:
        """End all calls in flight of a process with this error; how many there were. ``void``:
        they will be made again."""
        calls = [call for call in process.calls if call is not self._current]
        for call in calls:
            self.cancel_burst(call, void=void)
            self.refuse(call, error)
        return len(calls)

    def drop_calls(self, process: Process, why: str, *, void: bool = False) -> None:
        error = errors.ECANCELED(f"the call was cancelled: {why}")
        self.cancel_calls(process, error, void=void)

    def abandon(self, call: Call, *, void: bool = False) -> None:
        """Nobody is there any more to hear the reply: don't do the work."""
        self.cancel_burst(call, void=void)
        self._close(call)

    def cancel_burst(self, call: Call, *, void: bool = False) -> None:
        if call.burst is not None and not call.done:
            self._kernel.scheduler.cancel(call.burst)
            self._kernel.answers.dropped(call.burst, void=void)
            self._kernel.settle(call.process, f"burst {call.burst.id} was cancelled")

    def release_replies(self, process: Process) -> None:
        """The process goes on: it gets what came while it was stopped."""
        self._kernel.effects.sends += process.held
        process.held = []

    def _keep(self, call: Call, body: dict[str, Any]) -> None:
        """For a repeat of the call."""
        lasting = call.scope == call.process.session or call.scope.startswith(SHARED)
        if call.process.alive and lasting:
            rows = self._kernel.replays.keep(call, body, self._kernel.now)
            self._kernel.effects.rows += rows

    def _answer(self, call: Call, body: dict[str, Any]) -> None:
        send = Send(call.peer, Message("reply", call.id, call.spec.name, body=body))
        if call.process.stopped:
            call.process.held.append(send)
        else:
            self._kernel.effects.sends.append(send)

    def _reply(self, peer: bytes, id: int, name: str, body: dict[str, Any]) -> None:
        self._kernel.effects.sends.append(Send(peer, Message("reply", id, name, body=body)))

    def _drop(self, call: Call | None) -> None:
        if call is not None:
            self._close(call)

    def _close(self, call: Call) -> bool:
        """Take a call off every list that it is on; False if that was done before."""
        if call.done:
            return False
        call.done = True
        del self._calls[call.scope, call.id]
        call.process.calls.discard(call)
        self._kernel.connections.closed(call)
        if call.awaited is not None:
            self._kernel.timers.cancel(("wait", call))
            call.awaited.watchers.discard(call)
            self._kernel.settle(call.process, f"its wait for process {call.awaited.pid} is over")
        return True


def _check_same(message: Message, name: str) -> None:
    """An id that is used again must be for the same call."""
    if message.name != name:
        raise errors.EPROTO(
            f"id {message.id} was used for {name} before, and can't be used for {message.name}",
            hint="ids grow, and none is used twice",
        )


def _spec(message: Message) -> Syscall:
    name = message.name
    if message.kind != "call":
        raise errors.EPROTO(f"a client says no {message.kind!r}", hint="see docs/wire.md")
    spec = TABLE.get(name)
    if spec is None:
        near = get_close_matches(name[:64], TABLE, 1)
        raise errors.EINVAL(
            f"there is no call {name[:64]!r}",
            hint=f"did you mean {near[0]}?" if near else "docs/syscalls.md lists them",
        )
    if spec.args is None:
        raise errors.ENOSYS(
            f"{name} is not implemented yet", hint="docs/syscalls.md says which calls are"
        )
    return spec


def _arguments(spec: Syscall, body: dict[str, Any]) -> Any:
    assert spec.args is not None
    try:
        return spec.args.model_validate(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        first = problems[0]
        where = ".".join(map(str, first["loc"])) or "arguments"
        raise errors.EINVAL(
            f"{spec.name}: {where}: {first['msg'].removeprefix('Value error, ')}",
            hint="docs/syscalls.md says what it takes",
            detail={"field": where, "problems": len(problems)},
        ) from None


def _ok(result: Model) -> dict[str, Any]:
    return {"ok": True, "result": result.model_dump(mode="json")}


def _failed(error: errors.LLMOSError) -> dict[str, Any]:
    return {"ok": False, "error": ErrorRecord(**error.to_wire()).model_dump(mode="json")}
