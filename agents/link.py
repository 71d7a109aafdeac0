"""The host's side of the driver protocol: registers, beats, and hears what it is to do.

It knows nothing about what an agent does, nor about syscalls.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import Final

import zmq
import zmq.asyncio

from llmagentos import __version__, monitor
from llmagentos.abi import errors, wire
from llmagentos.abi.driver import (
    BEAT_INTERVAL,
    FROM_KERNEL,
    Assignment,
    Beat,
    HostSignal,
    Registration,
    Welcome,
)
from llmagentos.abi.model import Model
from llmagentos.abi.process import ErrorRecord
from llmagentos.backoff import Backoff
from llmagentos.home import Home

_ANSWER_PATIENCE: Final = 5.0
"""Seconds that a registration waits to be answered before it may be repeated."""

_log = logging.getLogger("agents.link")


class Link:
    """A connection to the kernel's socket for drivers. ``running``: the pids that it runs now, and
    under which sessions."""

    def __init__(
        self, home: Home, name: str, slots: int, running: Callable[[], dict[int, str]]
    ) -> None:
        self._key = home.service_key()
        self._running = running
        try:
            self._card = Registration(
                name=name,
                kind="host",
                slots=slots,
                state="ready",
                os_pid=os.getpid(),
                version=__version__,
            )
        except ValueError as error:
            raise errors.EINVAL(f"no host can be called {name!r} and have {slots} slots") from error
        self._interval = BEAT_INTERVAL
        self._boot: int | None = None
        self._registered: float | None = None
        self._socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.ROUTING_ID, b"h" + os.urandom(15))
        # Beats must not pile up for a kernel that is away: without a connection a send waits.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        self._monitor = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self._address = home.drivers
        self._socket.connect(self._address)

    async def watch(self) -> None:
        """Rest before the next connection, for ever, if whoever listens hangs up at once: ZeroMQ
        would come again as often as it can."""
        backoff = Backoff()
        while True:
            event = monitor.parse(await self._monitor.recv_multipart()).event
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                backoff.up()
            elif rest := backoff.down():
                self._socket.disconnect(self._address)
                await asyncio.sleep(rest)
                self._socket.connect(self._address)

    async def register(self) -> None:
        self._registered = asyncio.get_running_loop().time()
        running = self._running()
        lists = {"running": [*running], "sessions": [*running.values()]}
        await self._send("register", self._card.model_copy(update=lists))

    async def beat(self) -> None:
        """Register, then give signs of life for ever."""
        await self.register()
        while True:
            await asyncio.sleep(self._interval)
            await self._send("beat", Beat(state="ready", active=len(self._running())))

    async def orders(self) -> AsyncIterator[Assignment | HostSignal]:
        """What the kernel asks for, as it comes. Raises the error when it refuses this host."""
        while True:
            order = self._read(await self._socket.recv_multipart())
            if isinstance(order, Assignment | HostSignal):
                yield order
            elif isinstance(order, Welcome):
                self._welcome(order)
            elif isinstance(order, ErrorRecord):
                raise errors.from_wire(order.model_dump())
            elif order == "who" and not self._is_registering():
                await self.register()

    def close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close()

    def _is_registering(self) -> bool:
        # A kernel that is slow to boot asks once for each beat. A second registration would
        # void what the first one kept, so it is only made when the first one must be lost.
        if self._registered is None:
            return False
        return asyncio.get_running_loop().time() < self._registered + _ANSWER_PATIENCE

    def _welcome(self, welcome: Welcome) -> None:
        self._registered = None
        self._interval = welcome.beat_interval
        if welcome.boot != self._boot:
            _log.info("%s serves the kernel of boot %d", self._card.name, welcome.boot)
        self._boot = welcome.boot

    def _read(self, frames: list[bytes]) -> Model | str | None:
        try:
            message = wire.decode(frames)
            shape = FROM_KERNEL.get(message.kind)
            return shape.model_validate(message.body) if shape else message.kind
        except (errors.EPROTO, ValueError) as error:
            _log.error("a message of the kernel is not understood: %s", error)
            return None

    async def _send(self, kind: str, body: Model) -> None:
        message = wire.Message(kind, session=self._key, body=body.model_dump(mode="json"))
        await self._socket.send_multipart(wire.encode(message))
