"""Signs of life of a kernel: whether it listens, and whether it answers.

Without the client, which takes longer to import than the kernel may take to start, and would
compete with it for the processor just then. It knows nothing about any other call.
"""

from __future__ import annotations

import socket

from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home


def listening(home: Home) -> bool:
    """Whether a kernel has its socket open, found out without ZeroMQ."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(home.syscalls.removeprefix("ipc://"))
        except OSError:
            return False
        return True


def answers(home: Home, seconds: float) -> bool:
    """Whether ``sys.ping`` gets its reply within so long."""
    import zmq

    from llmagentos.abi import wire

    dealer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    try:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(home.syscalls)
        dealer.send_multipart(wire.encode(wire.Message("call", 1, "sys.ping")))
        if not dealer.poll(int(seconds * 1000)):
            return False
        reply = wire.decode(dealer.recv_multipart())
    except LLMOSError:
        return False
    finally:
        dealer.close()
    return reply.kind == "reply" and reply.body.get("ok") is True
