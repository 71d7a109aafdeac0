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
from typing import Final

import zmq

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
from kernel.machine import Machine
from kernel.store import Store
from llmagentos.abi import wire
from llmagentos.abi.errors import EQUOTA, LLMOSError
from llmagentos.abi.process import ErrorRecord
from llmagentos.home import Home

_log = logging.getLogger("kernel")

_TURN: Final = 256
"""Messages of one socket that are applied before a commit: more make a commit cheaper, fewer
make the first of them wait less."""

_PROBE: Final = [b""]
"""What a socket with ``ZMQ_PROBE_ROUTER`` sends by itself when it has connected."""


class Clock:
    """The time of day, which never goes back."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._offset


class Server:
    def __init__(self, home: Home, machine: Machine, store: Store) -> None:
        self._machine = machine
        self._store = store
        self._clock = Clock()
        self._stop = False
        for path in home.run.glob("*.sock"):
            path.unlink()
        self._clients = Door(home.syscalls)
        self._drivers = Door(home.drivers)
        self._events: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB)
        self._events.setsockopt(zmq.LINGER, 500)
        self._events.bind(home.events)
        # A signal that comes just before the poll must wake it, so signals arrive as bytes too.
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller = zmq.Poller()
        for door in (self._clients, self._drivers):
            self._poller.register(door.socket, zmq.POLLIN)
            self._poller.register(door.monitor, zmq.POLLIN)
        self._poller.register(self._wake_read, zmq.POLLIN)

    @property
    def clock(self) -> Clock:
        return self._clock

    def serve(self, booted: Effects) -> None:
        """Until SIGTERM, SIGINT or ``sys.shutdown``. Raises ``EIO`` or ``ENOSPC`` when the state
        can't be written: then what is in memory is ahead of the disk, and only a new start
        from the disk is safe."""
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        try:
            self._carry_out(booted)
            while not self._stop:
                self._poller.poll(self._patience())
                self._carry_out(self._turn())
        finally:
            signal.set_wakeup_fd(-1)
            self._close()

    def _asked_to_stop(self, number: int, frame: object) -> None:
        self._stop = True

    def _patience(self) -> int:
        """Milliseconds until something is due."""
        moments = [self._machine.timers.next_due(), *(
            door.next_due(self._clock.now()) for door in (self._clients, self._drivers)
        )]  # fmt: skip
        due = min((moment for moment in moments if moment is not None), default=None)
        if due is None:
            return 1000
        return max(0, min(1000, int((due - self._clock.now()) * 1000) + 1))

    def _turn(self) -> Effects:
        """Apply what is ready. Drivers first: their reports free slots."""
        now = self._clock.now()
        effects = Effects()
        for peer, frames in self._arrived(self._drivers, now):
            if frames == _PROBE:
                continue
            try:
                event: Input = FromDriver(peer, wire.decode(frames))
            except wire.MalformedError as error:
                body = ErrorRecord(**error.to_wire())
                effects.commands.append(Command(peer, "refuse", body))
                event = DriverGone(peer)
            self._apply(event, now, effects)
        for peer in self._drivers.gone(now):
            self._apply(DriverGone(peer), now, effects)
        for peer, frames in self._arrived(self._clients, now):
            if frames == _PROBE:
                self._apply(ClientHere(peer), now, effects)
                continue
            try:
                message = wire.decode(frames)
            except wire.MalformedError as error:
                failure = {"ok": False, "error": error.to_wire()}
                reply = wire.Message("reply", error.id, body=failure)
                effects.sends.append(Send(peer, reply))
            else:
                self._apply(FromClient(peer, message), now, effects)
        for peer in self._clients.gone(now):
            self._apply(ClientGone(peer), now, effects)
        self._apply(Tick(), now, effects)
        for door in (self._drivers, self._clients):
            door.flush()
        return effects

    def _arrived(self, door: Door, now: float) -> Iterator[tuple[bytes, list[bytes]]]:
        """What has come through a door, as much of it as one turn takes."""
        door.watch(now)
        for _ in range(_TURN):
            received = door.receive(now)
            if received is None:
                return
            yield received

    def _apply(self, event: Input, now: float, effects: Effects) -> None:
        effects.extend(self._machine.handle(event, now))

    def _carry_out(self, effects: Effects) -> None:
        """Commit, then let the replies, commands and events leave."""
        if effects.rows or effects.events:
            self._commit(effects)
        for send in effects.sends:
            if not self._clients.send(send.peer, _frames(send.message)):
                self._deaf(send.peer)
        for command in effects.commands:
            body = command.body.model_dump(mode="json") if command.body else {}
            frames = wire.encode(wire.Message(command.kind, body=body))
            if not self._drivers.send(command.peer, frames):
                _log.warning("a driver takes in no commands; it is taken for dead")
                gone = DriverGone(command.peer)
                self._carry_out(self._machine.handle(gone, self._clock.now()))
        for event in effects.events:
            self._events.send_multipart([event["type"].encode(), wire.pack(event)])
        self._stop = self._stop or effects.stop

    def _commit(self, effects: Effects) -> None:
        try:
            self._store.commit(effects.rows, effects.events)
        except LLMOSError as error:
            _log.critical("%s", error)
            body = {"ok": False, "error": error.to_wire()}
            for send in effects.sends:
                if send.message.kind == "reply":
                    reply = wire.Message("reply", send.message.id, body=body)
                    self._clients.send(send.peer, wire.encode(reply))
            raise

    def _deaf(self, peer: bytes) -> None:
        """A client that takes in nothing any more is treated as gone: what is done for it would
        pile up here without an end."""
        _log.warning("a client reads none of its replies; its calls are cancelled")
        self._carry_out(self._machine.handle(ClientGone(peer), self._clock.now()))

    def _close(self) -> None:
        for door in (self._clients, self._drivers):
            door.close()
        self._events.close()
        # Returns when the last replies have left, or their sockets' time to linger is over.
        zmq.Context.instance().term()
        os.close(self._wake_read)
        os.close(self._wake_write)


def _frames(message: wire.Message) -> list[bytes]:
    """The frames of a reply or a piece of a stream; of an error, if it is too large for one
    message, since the receiver would refuse it."""
    frames = wire.encode(message)
    if len(frames[1]) <= wire.MAX_BODY:
        return frames
    error = EQUOTA(
        f"the result takes {len(frames[1]):,} bytes; the most is {wire.MAX_BODY:,}",
        hint="ask for less of it",
    )
    failure = {"ok": False, "error": error.to_wire()}
    return wire.encode(wire.Message("reply", message.id, body=failure))
