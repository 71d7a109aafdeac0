"""Nodes as tests make them: keys, a port, and a raw line that says what no honest node does."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import zmq

from llmagentos import keys, monitor
from llmagentos.abi import wire
from llmagentos.abi.keys import NodeFile, NodeKey
from llmagentos.home import Home
from tests.system.machines import PATIENCE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_key(home: Home, name: str, folder: Path, **more: Any) -> Path:
    """A key that the home knows; the node's file."""
    node = new_node(home, name, **more)
    keys.grant(home, NodeKey.model_validate(node.model_dump(exclude={"secret", "server"})))
    keys.hand_out(folder / f"{name}.key", node)
    return folder / f"{name}.key"


def new_node(home: Home, name: str, **more: Any) -> NodeFile:
    """A key that nobody knows."""
    public, secret = keys.keypair()
    server = keys.server_keys(home).public
    return NodeFile(name=name, public=public, secret=secret, server=server, **more)


class RawNode:
    """A connection with a key, and nothing behind it. It connects once, unless told otherwise."""

    def __init__(
        self, address: str, key: NodeFile, routing: bytes = b"", *, again: bool = False
    ) -> None:
        self.key = key
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in (
            (zmq.CURVE_SERVERKEY, key.server.encode()),
            (zmq.CURVE_PUBLICKEY, key.public.encode()),
            (zmq.CURVE_SECRETKEY, key.secret.encode()),
            (zmq.RECONNECT_IVL, 100 if again else -1),
            (zmq.LINGER, 0),
        ):
            self.socket.setsockopt(option, value)
        if routing:
            self.socket.setsockopt(zmq.ROUTING_ID, routing)
        self._monitor: zmq.Socket[bytes] = self.socket.get_monitor_socket()
        self.events: list[int] = []
        self.socket.connect(address)

    def __enter__(self) -> RawNode:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(0)

    def watch(self, event: int, seconds: float) -> bool:
        """Whether this happens to the connection within so long."""
        while self._monitor.poll(round(seconds * 1000)):
            self.events.append(monitor.parse(self._monitor.recv_multipart()).event)
            if self.events[-1] == event:
                return True
        return False

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self.socket.send_multipart(wire.encode(wire.Message(kind, body=body)))

    def register(self, **claims: Any) -> wire.Message:
        """Register as this; what the kernel says to it."""
        card = {"name": self.key.name, "kind": "node", "slots": 1, "os_pid": 1, "state": "ready"}
        self.say("register", card | claims)
        return self.hear()

    def hear(self, seconds: float = PATIENCE) -> wire.Message:
        while True:
            assert self.socket.poll(round(seconds * 1000)), f"nothing came within {seconds:g} s"
            message = wire.decode(self.socket.recv_multipart())
            if message.kind != "alive":
                return message
