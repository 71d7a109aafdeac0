"""The gate: a door on TCP for drivers on other machines, each known by its CURVE key.

Who knows no key of ours gets no answer. A key that is taken back is taken back at once: its
connections are closed, and what still comes from it is dropped. The peers that the gate tells of
carry their key in their names, so nobody can be taken for a peer of another key or door. It knows
nothing about what the messages mean.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zmq

from kernel.door import Door
from kernel.keyring import Keyring
from kernel.zap import Zap
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.keys import NodeKey
from llmagentos.home import Home
from llmagentos.keys import server_keys

_OPTIONS: Final[dict[int, int | bytes]] = {
    zmq.CURVE_SERVER: 1,
    zmq.ZAP_DOMAIN: b"nodes",
    # A stranger, too, is let go after this time.
    zmq.HANDSHAKE_IVL: 5000,
    # One that has vanished is noticed within three seconds. libzmq's own thread answers, so a node
    # whose program is busy does not look like one.
    zmq.HEARTBEAT_IVL: 500,
    zmq.HEARTBEAT_TIMEOUT: 2000,
    zmq.HEARTBEAT_TTL: 2500,
}

_KEY: Final = 40
_MARK: Final = b"\0"
"""No routing id that somebody has chosen begins so, and those that ZeroMQ makes are shorter."""

_DESCRIPTORS: Final = Path("/proc/self/fd")


class Gate(Door):
    def __init__(self, address: str, home: Home) -> None:
        self._keyring = Keyring(home)
        self._zap = Zap(lambda public: self._keyring.get(public) is not None)
        self._user: dict[bytes, str] = {}
        """Whose each routing id is."""
        self._ended: list[bytes] = []
        """Peers that are gone though their connections may not be."""
        options = {**_OPTIONS, zmq.CURVE_SECRETKEY: server_keys(home).secret.encode()}
        if "[" in address:
            options[zmq.IPV6] = 1
        try:
            super().__init__(address, options)
        except zmq.ZMQError as error:
            raise EINVAL(
                f"nodes can't be listened for on {address}: {zmq.strerror(error.errno or 0)}",
                hint="another program may have the port; see listen in config.yaml",
            ) from None
        endpoint = self.socket.get_string(zmq.LAST_ENDPOINT)
        self._port = int(endpoint.rpartition(":")[2])

    @property
    def zap(self) -> zmq.Socket[bytes]:
        """Readable when somebody wants to come in."""
        return self._zap.socket

    @staticmethod
    def owns(peer: bytes) -> bool:
        """Whether it is one of this gate's."""
        return peer.startswith(_MARK) and len(peer) > len(_MARK) + _KEY

    def key(self, public: str) -> NodeKey | None:
        return self._keyring.get(public)

    def admit(self, now: float) -> list[bytes]:
        """Look at the keys, and let in who has one. The peers that are cut off, since theirs are
        good no more, or not for the same."""
        bad = self._keyring.look()
        cut_off = [_peer(user, routing) for routing, user in self._user.items() if user in bad]
        if bad:
            self.watch(now)
            self._cut_off_strangers()
        self._zap.answer()
        return cut_off

    def receive(self, now: float) -> tuple[bytes, list[bytes], str] | None:
        while (received := super().receive(now)) is not None:
            routing, frames, user = received
            if self._keyring.get(user) is None:
                continue
            before = self._user.get(routing, user)
            if before != user:
                self._ended.append(_peer(before, routing))
            self._user[routing] = user
            return _peer(user, routing), frames, user
        return None

    def gone(self, now: float) -> list[bytes]:
        ended, self._ended = self._ended, []
        for routing in super().gone(now):
            user = self._user.pop(routing, None)
            if user is not None:
                ended.append(_peer(user, routing))
        return ended

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        user, routing = peer[1 : 1 + _KEY].decode(), peer[1 + _KEY :]
        if self._user.get(routing) != user or self._keyring.get(user) is None:
            return True  # it is gone
        return super().send(routing, frames)

    def close(self) -> None:
        super().close()
        self._zap.close()

    def _cut_off_strangers(self) -> None:
        """Close all connections but those that are known to be of a good key: libzmq can't be told
        to close one. Whoever is cut off wrongly, because he has not said anything yet, comes
        again."""
        good = {
            descriptor
            for descriptor, peers in self._peers.items()
            if any(self._keyring.get(self._user.get(routing, "")) for routing in peers)
        }
        for entry in _DESCRIPTORS.iterdir():
            if (descriptor := int(entry.name)) not in good:
                with contextlib.suppress(OSError), _duplicate(descriptor) as line:
                    if self._is_ours(line):
                        line.shutdown(socket.SHUT_RDWR)

    def _is_ours(self, line: socket.socket) -> bool:
        """Whether it is a connection that was made to our port."""
        return (
            line.family in (socket.AF_INET, socket.AF_INET6)
            and line.type == socket.SOCK_STREAM
            and not line.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            and line.getsockname()[1] == self._port
        )


@contextlib.contextmanager
def _duplicate(descriptor: int) -> Iterator[socket.socket]:
    """What this descriptor is now, under a number of our own: libzmq's thread may close that one at
    any time, and it may be somebody else's by then."""
    own = os.dup(descriptor)
    try:
        line = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    with line:
        yield line


def _peer(user: str, routing: bytes) -> bytes:
    return _MARK + user.encode() + routing
