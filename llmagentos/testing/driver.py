"""A driver in a thread: registers, beats, and hands on what the kernel orders.

It speaks the driver protocol as any other driver. It knows nothing about models or tools.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from typing import Final

import zmq

from llmagentos import __version__
from llmagentos.abi import errors, wire
from llmagentos.abi.driver import (
    BEAT_INTERVAL,
    FROM_KERNEL,
    Beat,
    Registration,
    Report,
    Welcome,
)
from llmagentos.abi.jobs import JobResult
from llmagentos.abi.model import Model
from llmagentos.abi.process import ErrorRecord
from llmagentos.home import Home

_PATIENCE: Final = 10.0
_SOON: Final = 0.005
"""Seconds between two looks at what other threads want to say."""

_log = logging.getLogger("llmagentos.testing")


class Driver:
    """Subclasses say what they offer (``card``), what they do with an order (``heed``), and what
    is due (``step``)."""

    def __init__(self, home: Home, card: Registration) -> None:
        self._card = card.model_copy(update={"os_pid": os.getpid(), "version": __version__})
        self._key = home.service_key()
        self._address = home.drivers
        self._outbox: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
        self._welcome = threading.Event()
        self._stop = threading.Event()
        self._refused: errors.LLMOSError | None = None
        self._thread = threading.Thread(target=self._run, name=f"llmos-{card.name}", daemon=True)

    def start(self) -> None:
        """Returns when the kernel has taken it in."""
        self._thread.start()
        if not self._welcome.wait(_PATIENCE):
            raise errors.ETIMEOUT(f"the kernel did not take the driver {self._card.name} in")
        if self._refused is not None:
            raise self._refused

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(_PATIENCE)

    def say(self, message: Report | JobResult) -> None:
        """From any thread. Raises ``EDRIVER`` for what can't be sent."""
        try:
            frames = self._frames("report" if isinstance(message, Report) else "result", message)
        except ValueError as error:
            raise errors.EDRIVER(f"it can't be sent: {error}") from None
        if (size := max(map(len, frames))) > wire.MAX_BODY:
            most = f"{wire.MAX_BODY:,}"
            raise errors.EDRIVER(f"it can't be sent: {size:,} bytes, and the most is {most}")
        self._outbox.put(frames)

    def heed(self, kind: str, order: Model | None) -> None:
        """Carry out an order."""

    def step(self, now: float) -> float | None:
        """Do what is due; when to come back, on the clock of ``time.monotonic``."""

    def _run(self) -> None:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        try:
            socket.setsockopt(zmq.ROUTING_ID, b"t" + os.urandom(15))
            socket.setsockopt(zmq.LINGER, 200)
            socket.connect(self._address)
            self._send(socket, "register", self._card)
            self._serve(socket)
        finally:
            socket.close()

    def _serve(self, socket: zmq.Socket[bytes]) -> None:
        beat = time.monotonic() + BEAT_INTERVAL
        due: float | None = None
        while not self._stop.is_set() and self._refused is None:
            now = time.monotonic()
            wait = _SOON if due is None else max(0.0, min(_SOON, due - now))
            if socket.poll(round(wait * 1000)):
                self._hear(socket, socket.recv_multipart())
            now = time.monotonic()
            due = self.step(now)
            while not self._outbox.empty():
                socket.send_multipart(self._outbox.get())
            if now >= beat:
                beat = now + BEAT_INTERVAL
                self._send(socket, "beat", Beat(state="ready"))

    def _hear(self, socket: zmq.Socket[bytes], frames: list[bytes]) -> None:
        message = wire.decode(frames)
        shape = FROM_KERNEL.get(message.kind)
        order = shape.model_validate(message.body) if shape else None
        if isinstance(order, Welcome):
            self._welcome.set()
        elif isinstance(order, ErrorRecord):
            self._refused = errors.from_wire(order.model_dump())
            self._welcome.set()
        elif message.kind == "who":
            self._send(socket, "register", self._card)
        else:
            self.heed(message.kind, order)

    def _send(self, socket: zmq.Socket[bytes], kind: str, body: Model) -> None:
        socket.send_multipart(self._frames(kind, body))

    def _frames(self, kind: str, body: Model) -> list[bytes]:
        message = wire.Message(kind, session=self._key, body=body.model_dump(mode="json"))
        return wire.encode(message)
