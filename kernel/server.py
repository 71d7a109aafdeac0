"""The server: the loop that does the machine's I/O.

Take what is ready, apply it, commit once, reply. One thread, one poll. It knows sockets,
clocks and files, and nothing about what a call means.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

import zmq

from kernel.config import StoreFailed
from kernel.crashpoints import reach
from kernel.door import Door
from kernel.effects import (
    ClientGone,
    ClientHere,
    Command,
    DriverGone,
    Effects,
    FromClient,
    FromDriver,
    Input,
    Send,
    Tick,
)
from kernel.gate import Gate
from kernel.machine import Machine
from kernel.store import Store
from llmagentos.abi import wire
from llmagentos.abi.errors import LLMOSError
from llmagentos.abi.process import ErrorRecord
from llmagentos.home import Home

_log = logging.getLogger("kernel")

_TURN: Final = 32
"""Messages of one socket that are applied before a commit: more make a commit cheaper; fewer make
the first of them wait less, and who sent them can go on while we do."""

_TURN_FLUSHED: Final = 256
"""The same where a commit waits for the disk."""

_TURN_BYTES: Final = 8 * 1024 * 1024
"""Of replies in one turn: they are all in memory until its commit."""

_LINGER: Final = 0.0001
"""Seconds for which the loop looks whether more comes, before it falls asleep."""

_WARM_TURNS: Final = 64
"""Turns without a look at the monitors and at signals."""

_PROBE: Final = [b""]
"""What a socket with ``ZMQ_PROBE_ROUTER`` sends by itself when it has connected."""


class Clock:
    """The time of day, which never goes back."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset


class Server:
    def __init__(
        self, home: Home, machine: Machine, store: Store, listen: str | None = None
    ) -> None:
        """``listen``: the TCP address where nodes come in; without it none do."""
        self._machine = machine
        self._store = store
        self._turn_most = _TURN_FLUSHED if store.durability == "full" else _TURN
        self._clock = Clock()
        self._stop = False
        self._warm = 0
        for path in home.run.glob("*.sock"):
            path.unlink()
        self._clients = Door(home.syscalls)
        self._drivers = Door(home.drivers)
        self._gate = Gate(listen, home) if listen else None
        self._driver_doors = [self._drivers, *([self._gate] if self._gate else [])]
        self._doors = [*self._driver_doors, self._clients]
        self._events: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
        self._events.setsockopt(zmq.LINGER, 500)
        self._events.bind(home.events)
        # A signal that comes just before the poll must wake it, so signals arrive as bytes too.
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller, self._messages = zmq.Poller(), zmq.Poller()
        for door in self._doors:
            self._messages.register(door.socket, zmq.POLLIN)
            self._poller.register(door.socket, zmq.POLLIN)
            self._poller.register(door.monitor, zmq.POLLIN)
        if self._gate:
            self._poller.register(self._gate.zap, zmq.POLLIN)
        self._poller.register(self._wake_read, zmq.POLLIN)

    @property
    def clock(self) -> Clock:
        return self._clock

    def serve(self, booted: Effects, *, alone: bool = True) -> None:
        """Until SIGTERM, SIGINT or ``sys.shutdown``. Raises ``EIO`` or ``ENOSPC`` when the state
        can't be written: then what is in memory is ahead of the disk, and only a new start
        from the disk is safe. ``alone``: False in a thread of somebody else's process, to whom
        signals, and ZeroMQ's context, are left."""
        if alone:
            signal.set_wakeup_fd(self._wake_write)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._asked_to_stop)
        try:
            effects = booted
            try:
                self._carry_out(effects)
                while not self._stop:
                    ready = self._wait()
                    effects = self._machine.effects
                    reach("before-apply")
                    effects = self._turn(ready)
                    self._carry_out(effects)
            except StoreFailed as failed:
                self._abort(effects, failed.error)
                raise failed.error from failed
        finally:
            if alone:
                signal.set_wakeup_fd(-1)
            self._close(alone=alone)

    def _asked_to_stop(self, number: int, frame: object) -> None:
        self._stop = True

    def _wait(self) -> dict[Any, int]:
        """What is ready, as soon as something is."""
        if self._warm < _WARM_TURNS and (ready := self._look_again()):
            self._warm += 1
            return ready
        self._warm = 0
        ready = dict(self._poller.poll(self._patience()))
        if not ready:
            self._warm = _WARM_TURNS  # nothing came: there is no haste
        return ready

    def _look_again(self) -> dict[Any, int]:
        """What comes at once after a turn. To fall asleep and be woken costs more than a call, and
        most that call do so again when they have their reply."""
        end = time.monotonic() + _LINGER
        while True:
            ready = dict(self._messages.poll(0))
            if ready or time.monotonic() >= end:
                return ready
            os.sched_yield()

    def _patience(self) -> int:
        """Milliseconds until something is due."""
        now = self._clock.now()
        due = self._machine.timers.next_due()
        for door in self._doors:
            moment = door.next_due(now)
            if moment is not None and (due is None or moment < due):
                due = moment
        if due is None:
            return 1000
        return max(0, min(1000, int((due - now) * 1000) + 1))

    def _turn(self, ready: dict[Any, int]) -> Effects:
        """Apply what is ready. Drivers first: their reports free slots."""
        now, machine = self._clock.now(), self._machine
        for peer in self._gate.admit(now) if self._gate else ():
            machine.apply(DriverGone(peer, "its key was revoked or changed"), now)
        for door in self._driver_doors:
            for peer, frames, user in self._arrived(door, ready, now):
                if frames != _PROBE:
                    machine.apply(self._from_driver(peer, frames, user), now)
            for peer in door.gone(now):
                machine.apply(DriverGone(peer), now)
        for peer, frames, _ in self._arrived(self._clients, ready, now):
            if frames == _PROBE:
                machine.apply(ClientHere(peer), now)
                continue
            try:
                message = wire.decode(frames, wire.MAX_VALUES)
            except wire.MalformedError as error:
                machine.effects.sends.append(Send(peer, _refusal(error.id, error)))
            else:
                machine.apply(FromClient(peer, message), now)
        for peer in self._clients.gone(now):
            machine.apply(ClientGone(peer), now)
        due = machine.timers.next_due()
        if due is not None and due <= now:
            machine.apply(Tick(), now)
        for door in self._doors:
            door.flush()
        return machine.flush()

    def _from_driver(self, peer: bytes, frames: list[bytes], user: str) -> Input:
        key = self._gate.key(user) if self._gate and user else None
        try:
            return FromDriver(peer, wire.decode(frames, wire.MAX_DRIVER_VALUES), key)
        except wire.MalformedError as error:
            body = ErrorRecord.of(error)
            self._machine.effects.commands.append(Command(peer, "refuse", body))
            return DriverGone(peer)

    def _arrived(
        self, door: Door, ready: dict[Any, int], now: float
    ) -> Iterator[tuple[bytes, list[bytes], str]]:
        """What has come through a door, as much of it as one turn takes."""
        if door.monitor in ready:
            door.watch(now)
        if door.socket not in ready:
            return
        for number in range(self._turn_most):
            received = door.receive(now)
            if received is None:
                return
            yield received
            if number == 0 and not door.pending:
                return
            if self._machine.effects.size > _TURN_BYTES:
                return

    def _carry_out(self, effects: Effects) -> None:
        """Commit, then let the replies, commands and events leave."""
        self._store.commit(effects.rows, effects.events)
        reach("after-commit")
        half = len(effects.sends) // 2
        for number, send in enumerate(effects.sends):
            if number and number == half:
                reach("mid-send")
            if not self._clients.send(send.peer, send.frames):
                self._deaf(send.peer)
        for command in effects.commands:
            body = command.body.model_dump(mode="json") if command.body else {}
            frames = wire.encode(wire.Message(command.kind, body=body))
            far = self._gate and self._gate.owns(command.peer)
            door = self._gate if self._gate and far else self._drivers
            if not door.send(command.peer, frames):
                _log.warning("a driver takes in no commands; it is taken for dead")
                gone = DriverGone(command.peer)
                self._carry_out(self._machine.handle(gone, self._clock.now()))
        if effects.doubted:
            self._clients.doubt(effects.doubted, self._clock.now())
        for event in effects.events:
            self._events.send_multipart([event["type"].encode(), wire.pack(event)])
        reach("after-send")
        self._stop = self._stop or effects.stop

    def _abort(self, effects: Effects, error: LLMOSError) -> None:
        """The state can't be written: nobody may take what was done for done."""
        _log.critical("%s", error)
        for send in effects.sends:
            message = wire.decode(send.frames)
            if message.kind == "reply":
                self._clients.send(send.peer, _refusal(message.id, error))

    def _deaf(self, peer: bytes) -> None:
        """A client that takes in nothing any more is treated as gone: what is done for it would
        pile up here without an end."""
        _log.warning("a client reads none of its replies; its calls are cancelled")
        self._carry_out(self._machine.handle(ClientGone(peer), self._clock.now()))

    def _close(self, *, alone: bool) -> None:
        for door in self._doors:
            door.close()
        self._events.close()
        if alone:
            # Returns when the last replies have left, or their sockets' time to linger is over.
            zmq.Context.instance().term()
        os.close(self._wake_read)
        os.close(self._wake_write)


def _refusal(id: int, error: LLMOSError) -> list[bytes]:
    return wire.encode(wire.Message("reply", id, body={"ok": False, "error": error.to_wire()}))
