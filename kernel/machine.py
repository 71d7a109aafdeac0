"""The machine: the kernel's whole state, and what one input does to it.

One input and the time go in, effects come out. It reads no clock, opens no socket and no
file, and draws no random number: all of that is handed in. Every syscall takes one path
here: authenticate, look for a repeat, decode, check rights, act, reply.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from kernel import context, lifecycle, rights
from kernel.answers import Answers
from kernel.calls import Call, Deferred, Replays
from kernel.config import Config, Services
from kernel.connections import Connections
from kernel.context import Node
from kernel.effects import (
    ClientGone,
    ClientHere,
    Command,
    DriverGone,
    Effects,
    FromClient,
    FromDriver,
    Input,
    Put,
    Send,
    Tick,
)
from kernel.graveyard import Graveyard
from kernel.hosts import Hosts
from kernel.journal import Journal
from kernel.policies import Policy
from kernel.policies.fifo import Fifo
from kernel.port import Port
from kernel.process import Process
from kernel.records import message_row, process_row
from kernel.registry import Driver, Registry
from kernel.scheduler import Scheduler
from kernel.syscalls import HANDLERS
from kernel.table import Table, digest
from kernel.timers import Timers
from llmagentos.abi import errors
from llmagentos.abi.calls.sys import PingResult
from llmagentos.abi.model import Model
from llmagentos.abi.process import ErrorRecord, Role
from llmagentos.abi.syscalls import TABLE, Syscall
from llmagentos.abi.wire import Message


class Machine:
    def __init__(
        self, config: Config, services: Services, policy: Callable[[], Policy] = Fifo
    ) -> None:
        self.config = config
        self.services = services
        self.now = 0.0
        self.boot = 0
        self.booted = 0.0
        self.served = 0
        self.next_message = 1
        self.next_burst = 1
        self.journal = Journal(config.events_kept)
        self.timers = Timers()
        self.table = Table()
        self.registry = Registry()
        self.scheduler = Scheduler(self, policy)
        self.hosts = Hosts(self)
        self.port = Port(self)
        self.answers = Answers(self)
        self.replays = Replays(config.replays_kept)
        self.connections = Connections(self)
        self.graveyard = Graveyard(self)
        self._calls: dict[tuple[str, int], Call] = {}
        self._current: Call | None = None
        self._changed: dict[int, Process] = {}

    @property
    def effects(self) -> Effects:
        """What the input at hand has led to so far."""
        return self.journal.effects

    # -- inputs ------------------------------------------------------------------------------

    def handle(self, event: Input, now: float) -> Effects:
        """What this input leads to. ``now`` is in seconds since 1970, and never goes back."""
        self.now = now
        match event:
            case FromClient(peer, message):
                self._call(peer, message)
            case FromDriver(peer, message):
                self.port.heard(peer, message)
            case ClientHere(peer):
                self.connections.heard(peer)
            case ClientGone(peer):
                self.connections.gone(peer)
            case DriverGone(peer):
                self.port.gone(peer)
            case Tick():
                for action in self.timers.due(now):
                    action()
        return self.flush()

    def flush(self) -> Effects:
        """Let what can go on go on, and hand out the effects."""
        self.hosts.place()
        self.scheduler.dispatch()
        for process in self._changed.values():
            if process.pid not in self.graveyard:
                self.effects.rows.append(Put("processes", process_row(process)))
        self._changed.clear()
        effects, self.journal.effects = self.journal.effects, Effects()
        return effects

    def _call(self, peer: bytes, message: Message) -> None:
        """The one path of every syscall."""
        self.served += 1
        self.connections.heard(peer)
        caller: Process | None = None
        call: Call | None = None
        try:
            if message.name == "sys.ping" and not message.session:
                result = PingResult(time=self.now, uptime=self.now - self.booted)
                self._reply(peer, message.id, message.name, _ok(result))
                return
            caller, scope = self._authenticate(peer, message)
            if self._repeated(peer, scope, message.id):
                return
            spec = _spec(message)
            args = _arguments(spec, message.body)
            rights.check(self.table, caller, spec, args)
            call = self._open(peer, message, spec, caller, scope)
            outcome = HANDLERS[spec.name](self, call, args)
        except errors.LLMOSError as error:
            if isinstance(error, errors.DeniedError):
                pid = caller.pid if caller else 0
                self.journal.audit(self.now, pid, message.name, error.code, error.message)
            self._drop(call)
            self._reply(peer, message.id, message.name, _failed(error))
        except Exception as error:
            # A bug in a handler must not take the kernel, and everybody else, down with it.
            self._drop(call)
            self.journal.event(
                self.now, "kernel.bug", caller.pid if caller else None,
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
        if hmac.compare_digest(token.encode(), self.services.user_key.encode()):
            return self.table.init, self.connections.user_scope(peer)
        process = self.table.of_session(hashed := digest(token))
        if process is None:
            raise errors.EAUTH(
                "the session is unknown, or its process has ended",
                hint="connect again to get a new one",
            )
        return process, hashed

    def _repeated(self, peer: bytes, scope: str, id: int) -> bool:
        """Whether this call was heard before; then the first one answers for it."""
        reply = self.replays.find(scope, id)
        if reply is not None:
            self.effects.sends.append(Send(peer, Message("reply", id, body=reply)))
            return True
        running = self._calls.get((scope, id))
        if running is None:
            return False
        self.connections.move(running, peer)
        watched = running.awaited.bursts if running.awaited else {running.burst}
        for burst in watched:
            if burst is not None and running.stream:
                self.answers.so_far(running, burst)
        return True

    def _open(
        self, peer: bytes, message: Message, spec: Syscall, caller: Process, scope: str
    ) -> Call:
        call = Call(peer, message.id, spec, caller, scope)
        self._calls[scope, message.id] = call
        self._current = call
        caller.calls.add(call)
        self.connections.opened(call)
        return call

    # -- replies -----------------------------------------------------------------------------

    def complete(self, call: Call, result: Model) -> None:
        """The call succeeded."""
        body = _ok(result)
        if self._close(call):
            if call.spec.writes and call.process.alive:
                rows = self.replays.keep(call.scope, call.id, body, self.now)
                self.effects.rows += rows
            self._answer(call, body)

    def refuse(self, call: Call, error: errors.LLMOSError, *, keep: bool = False) -> None:
        """The call failed. ``keep``: a repeat of it gets the same error, not a second try."""
        body = _failed(error)
        if self._close(call):
            if keep and call.process.alive:
                self.effects.rows += self.replays.keep(call.scope, call.id, body, self.now)
            self._answer(call, body)

    def cancel_calls(self, process: Process, error: errors.LLMOSError) -> int:
        """End all calls in flight of a process with this error; how many there were."""
        calls = [call for call in process.calls if call is not self._current]
        for call in calls:
            self.cancel_burst(call)
            self.refuse(call, error)
        return len(calls)

    def drop_calls(self, process: Process, why: str) -> None:
        self.cancel_calls(process, errors.ECANCELED(f"the call was cancelled: {why}"))

    def abandon(self, call: Call) -> None:
        """Nobody is there any more to hear the reply: don't do the work."""
        self.cancel_burst(call)
        self._close(call)

    def cancel_burst(self, call: Call) -> None:
        if call.burst is not None and not call.done:
            self.scheduler.cancel(call.burst)
            self.answers.dropped(call.burst)
            self.settle(call.process, f"burst {call.burst.id} was cancelled")

    def release_replies(self, process: Process) -> None:
        """The process goes on: it gets what came while it was stopped."""
        self.effects.sends += process.held
        process.held = []

    def _answer(self, call: Call, body: dict[str, Any]) -> None:
        send = Send(call.peer, Message("reply", call.id, call.spec.name, body=body))
        if call.process.stopped:
            call.process.held.append(send)
        else:
            self.effects.sends.append(send)

    def _reply(self, peer: bytes, id: int, name: str, body: dict[str, Any]) -> None:
        self.effects.sends.append(Send(peer, Message("reply", id, name, body=body)))

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
        self.connections.closed(call)
        if call.awaited is not None:
            call.awaited.watchers.discard(call)
            self.settle(call.process, f"its wait for process {call.awaited.pid} is over")
        return True

    # -- what the parts of the kernel share --------------------------------------------------

    def command(self, driver: Driver, kind: str, body: Model) -> None:
        """Tell a driver or host something; one that is away hears nothing."""
        if driver.peer:
            self.effects.commands.append(Command(driver.peer, kind, body))

    def changed(self, process: Process) -> None:
        """Its row must be written again."""
        self._changed[process.pid] = process

    def settle(self, process: Process, why: str) -> None:
        lifecycle.settle(self, process, why)

    def append(
        self, process: Process, role: Role, content: str, sources: tuple[int, ...] = ()
    ) -> Node:
        """A new last message in a process's context."""
        node = context.grow(process.head, self.next_message, role, content, self.now, sources)
        self.next_message += 1
        process.head = node
        self.effects.rows.append(Put("messages", message_row(node, process.pid)))
        self.changed(process)
        return node

    def new_burst(self) -> int:
        number = self.next_burst
        self.next_burst += 1
        return number

    def exited(self, process: Process) -> None:
        """Tell those who wait for it, and decide how long it stays in the table."""
        assert process.exit is not None
        collected = False
        for call in process.watchers:
            collected = collected or call.reap
            self.complete(call, process.exit)
        if collected or process.attached:
            lifecycle.reap(self, process)
        else:
            self.graveyard.add_zombie(process)

    def forget_session(self, process: Process) -> None:
        if process.session:
            self.effects.rows += self.replays.forget(process.session)
        self.table.revoke(process)


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
