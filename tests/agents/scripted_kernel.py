"""The kernel's two sockets, and a test that says word by word what the kernel answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import zmq

from llmagentos.abi import wire
from llmagentos.home import Home, write_secret

SERVICE_KEY = "service-key-of-the-test"
PATIENCE = 30_000
PROBE = [b""]
"""What a client's socket sends by itself when it has connected (ZMQ_PROBE_ROUTER)."""


@dataclass(frozen=True)
class Call:
    """A syscall that came in, and the way back to the caller."""

    route: bytes
    message: wire.Message

    @property
    def name(self) -> str:
        return self.message.name

    @property
    def session(self) -> str:
        return self.message.session

    @property
    def args(self) -> dict[str, Any]:
        return self.message.body


class ScriptedKernel:
    """Two ROUTER sockets in a home; whatever a host sends waits there to be asked for."""

    def __init__(self, home: Home) -> None:
        home.create()
        if not home.service_key_file.exists():
            write_secret(home.service_key_file, SERVICE_KEY)
        self._context = zmq.Context()
        self._syscalls = self._bind(home.syscalls)
        self._drivers = self._bind(home.drivers)
        self._host = b""
        self.beats = 0

    def _bind(self, address: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(address)
        return socket

    def close(self) -> None:
        self._context.destroy(0)

    def hear(self, kind: str, within: int = PATIENCE) -> wire.Message:
        """The next message of this kind from the host; beats are counted and passed over."""
        deadline = time.monotonic() + within / 1000
        while self._drivers.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            self._host, *frames = self._drivers.recv_multipart()
            message = wire.decode(frames)
            self.beats += message.kind == "beat"
            if message.kind == kind:
                return message
            assert message.kind == "beat", f"waiting for {kind}, the host sent {message}"
        raise AssertionError(f"the host sent no {kind}")

    def tell(self, kind: str, **body: Any) -> None:
        frames = wire.encode(wire.Message(kind, body=body))
        self._drivers.send_multipart([self._host, *frames])

    def welcome(self, boot: int = 1) -> dict[str, Any]:
        """Let the host in; its registration."""
        registration = self.hear("register")
        self.tell("welcome", boot=boot, beat_interval=0.1)
        return registration.body

    def assign(self, pid: int, session: str = "", name: str = "summarise", **spec: Any) -> None:
        session = session or f"session-{pid}"
        self.tell("assign", pid=pid, name=name, session=session, manifest={"spec": spec})

    def signal(self, pid: int, signal: str) -> None:
        self.tell("signal", pid=pid, signal=signal)

    def call(self, name: str, within: int = PATIENCE) -> Call:
        """The next syscall, which must be this one. A look into the mailbox finds nothing."""
        while True:
            assert self._syscalls.poll(within), f"nobody called {name}"
            route, *frames = self._syscalls.recv_multipart()
            if frames == PROBE:
                continue
            call = Call(route, wire.decode(frames))
            if call.name == name or call.name != "ipc.recv":
                break
            self.answer(call, mail=[], left=0)
        assert call.name == name, f"waiting for {name}, {call.name} was called"
        return call

    def is_quiet(self, milliseconds: int = 400) -> bool:
        """Whether no syscall comes for so long."""
        while self._syscalls.poll(milliseconds):
            _, *frames = self._syscalls.recv_multipart()
            if frames != PROBE:
                return False
        return True

    def answer(self, call: Call, **result: Any) -> None:
        self._reply(call, {"ok": True, "result": result})

    def fail(self, call: Call, code: str, message: str = "no", **more: Any) -> None:
        error = {"code": code, "message": message, "hint": "", "detail": {}, **more}
        self._reply(call, {"ok": False, "error": error})

    def _reply(self, call: Call, body: dict[str, Any]) -> None:
        frames = wire.encode(wire.Message("reply", call.message.id, body=body))
        self._syscalls.send_multipart([call.route, *frames])

    def context(self, *turns: tuple[str, str]) -> Call:
        """Answer the ``ctx.read`` that comes next with these messages."""
        call = self.call("ctx.read")
        messages = [
            {"id": number, "role": role, "content": content, "time": 1.0, "sources": []}
            for number, (role, content) in enumerate(turns, 1)
        ]
        self.answer(call, messages=messages, tokens=0)
        return call

    def mail(self, call: Call, *bodies: str) -> None:
        """Answer an ``ipc.recv``."""
        mail = [
            {"id": number, "sender": 1, "body": body, "labels": [], "time": 1.0}
            for number, body in enumerate(bodies, 1)
        ]
        self.answer(call, mail=mail, left=0)

    def generated(self, call: Call, text: str, finish: str = "stop") -> None:
        """Answer a ``llm.generate``."""
        self.answer(
            call, text=text, finish=finish, model="m", driver="d", usage={}, tokens=[1], message=3
        )
