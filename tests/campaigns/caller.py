"""A caller: one connection to a kernel that dies again and again, as docs/wire.md wants
a client to be. It keeps its routing id and its ids, and repeats what was not answered when the
kernel is back.

Its lanes do one call after the other each; together they keep many in flight. Beside that it plays
what the network and other clients might: it says a call twice, and asks again for what it was told
before, which must be told the same. It knows nothing about what the calls mean.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import zmq

from llmagentos.abi import wire
from llmagentos.abi.errors import BY_CODE
from llmagentos.abi.syscalls import TABLE
from tests.campaigns.system import Broken

PATIENCE = 60.0
"""Seconds that a call may take while the kernel is up: a driver has to come back, too."""
_TWICE = 0.03
_ASKED_AGAIN = 6
_IDS = count(time.time_ns() // 1000)


@dataclass(slots=True)
class Call:
    name: str
    args: dict[str, Any]
    buffers: tuple[bytes, ...] = ()
    id: int = 0
    frames: list[bytes] = field(default_factory=list)
    since: float = 0.0
    heard: dict[int, str] = field(default_factory=dict)
    """What was streamed, by burst."""
    again: bool = False
    """It was said to more than one kernel."""

    def __str__(self) -> str:
        shown = {k: v if len(repr(v)) < 80 else repr(v)[:80] + "…" for k, v in self.args.items()}
        return f"{self.id} {self.name} {shown}"


@dataclass(slots=True)
class Reply:
    ok: bool
    body: dict[str, Any]
    buffers: tuple[bytes, ...]
    call: Call

    @property
    def code(self) -> str:
        return "" if self.ok else str(self.body["code"])


Steps = Generator[Call, Reply, Any]


@dataclass(slots=True)
class Lane:
    """Calls one after the other: a generator that yields them and is sent their replies."""

    name: str
    steps: Generator[Call, Reply, None]
    call: Call | None = None
    story: deque[str] = field(default_factory=lambda: deque(maxlen=14))


class Caller:
    """``session``: whose calls these are. ``answered`` counts the calls that were answered."""

    def __init__(self, name: str, address: str, session: str, chance: random.Random) -> None:
        self.name, self.session, self.chance = name, session, chance
        self.lanes: list[Lane] = []
        self.answered = 0
        self.repeated = 0
        self._address = address
        self._open: dict[int, Lane] = {}
        self._told: deque[tuple[Call, wire.Message]] = deque(maxlen=40)
        self._asked_again: dict[int, wire.Message] = {}
        self._routing_id = b"c" + chance.randbytes(15)
        self.socket = self._connect()

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.ROUTING_ID, self._routing_id)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 10)
        socket.setsockopt(zmq.PROBE_ROUTER, 1)
        socket.connect(self._address)
        return socket

    # -- lanes -------------------------------------------------------------------------------

    def add(self, name: str, steps: Generator[Call, Reply, None]) -> None:
        lane = Lane(f"{self.name}/{name}", steps)
        self.lanes.append(lane)
        self._go_on(lane, None)

    def _go_on(self, lane: Lane, reply: Reply | None) -> None:
        """The lane's next call, if there is one."""
        try:
            call = next(lane.steps) if reply is None else lane.steps.send(reply)
        except StopIteration:
            lane.call = None
            self.lanes.remove(lane)
            return
        except Broken as error:
            raise Broken(f"{lane.name}: {error}\n  " + "\n  ".join(lane.story)) from None
        call.id = next(_IDS)
        call.frames = wire.encode(
            wire.Message("call", call.id, call.name, self.session, call.args, call.buffers)
        )
        lane.call = call
        lane.story.append(f"-> {call}")
        self._open[call.id] = lane
        self._send(call)
        # Adopting makes a new token each time, and the one before is void.
        if self.chance.random() < _TWICE and call.name != "proc.adopt":
            self._send(call)

    def _send(self, call: Call) -> None:
        call.since = time.monotonic()
        self.socket.send_multipart(call.frames)

    # -- the kernel --------------------------------------------------------------------------

    def came_back(self) -> None:
        """Another kernel is up: say again what was not answered, oldest first. Its connection may
        be a new one, or the old one with what was left in it."""
        if self.chance.random() < 0.5:
            self.socket.close(0)
            self.socket = self._connect()
        for number in sorted(self._open):
            call = self._open[number].call
            assert call is not None
            call.again = True
            self.repeated += 1
            self._open[number].story.append(f"-- the kernel died; again {number}")
            self._send(call)
        for call, told in self.chance.sample(self._told, min(_ASKED_AGAIN, len(self._told))):
            self._asked_again[call.id] = told
            self._send(call)

    def pump(self) -> None:
        """Take in all that has come."""
        while self.socket.poll(0):
            message = wire.decode(self.socket.recv_multipart())
            lane = self._open.get(message.id)
            if message.kind == "stream" and lane is not None and lane.call is not None:
                _hear(lane.call, message.body)
            elif message.kind == "reply" and lane is not None:
                self._answer(lane, message)
            elif message.kind == "reply" and message.id in self._asked_again:
                self._check_same(message, self._asked_again.pop(message.id))

    def check_patience(self) -> None:
        now = time.monotonic()
        for lane in self._open.values():
            assert lane.call is not None
            if now - lane.call.since > PATIENCE:
                raise Broken(
                    f"{lane.name}: never answered: {lane.call}\n  " + "\n  ".join(lane.story)
                )

    def _answer(self, lane: Lane, message: wire.Message) -> None:
        call = lane.call
        assert call is not None
        del self._open[message.id]
        self.answered += 1
        ok = bool(message.body["ok"])
        body = message.body["result"] if ok else message.body["error"]
        lane.story.append(f"<- {message.id} {'ok' if ok else 'error'} {str(body)[:200]}")
        if not ok and (body["code"] not in BY_CODE or "inside the kernel" in body["message"]):
            raise Broken(f"{lane.name}: {call} was answered {body}")
        if ok and TABLE[call.name].writes:
            self._told.append((call, message))
        self._go_on(lane, Reply(ok, body, message.buffers, call))

    def _check_same(self, now: wire.Message, then: wire.Message) -> None:
        if now.body != then.body:
            raise Broken(
                f"{self.name}: call {now.id}, asked for again, is answered otherwise:\n"
                f"  first {str(then.body)[:300]}\n  now   {str(now.body)[:300]}"
            )

    def close(self) -> None:
        self.socket.close(0)


def _hear(call: Call, body: dict[str, Any]) -> None:
    """As docs/wire.md says: of a piece, what is new."""
    burst, offset, text = body["burst"], body["offset"], body["text"]
    known = call.heard.get(burst, "")
    if offset > len(known):
        raise Broken(f"{call}: a hole in the stream: {len(known)} characters, then {body}")
    call.heard[burst] = known + text[max(0, len(known) - offset) :]
