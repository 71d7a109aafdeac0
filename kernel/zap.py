"""The ZAP handler: libzmq asks it about each CURVE handshake, whether to go on with it.

ZAP 1.0 (rfc.zeromq.org/spec/27): one REP socket inside this process, served by the server's own
loop. A stranger is answered 300: libzmq then says nothing at all to him, not even that he was
refused. It knows nothing about what the key opens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zmq
from zmq.utils import z85

_ADDRESS: Final = "inproc://zeromq.zap.01"
_YES, _SILENCE = b"200", b"300"


class Zap:
    """``known``: whether a public key (Z85) may come in. It becomes the ``User-Id`` of all that
    arrives from there."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(_ADDRESS)

    def answer(self) -> None:
        """All that has been asked by now."""
        while True:
            try:
                version, request, _domain, _address, _routing, mechanism, *credentials = (
                    self.socket.recv_multipart(zmq.NOBLOCK)
                )
            except zmq.Again:
                return
            user, status = "", _SILENCE
            if mechanism == b"CURVE" and len(credentials) == 1:
                user = z85.encode(credentials[0]).decode()
                status = _YES if self._known(user) else _SILENCE
            self.socket.send_multipart([version, request, status, b"", user.encode(), b""])

    def close(self) -> None:
        self.socket.close()
