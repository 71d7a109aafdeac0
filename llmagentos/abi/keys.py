"""The keys of nodes: what a key says of whoever holds it, and the addresses that they dial.

A node is a driver on another machine. Its key is a CURVE keypair: the home keeps the public half
with what it grants (``NodeKey``), the node's file has both halves (``NodeFile``). It knows nothing
about files and sockets.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from llmagentos.abi.model import Model, Name

DEVICE: Final = "device"
"""The zone of the machine that the kernel is on, and of no other."""

CurveKey = Annotated[str, Field(pattern=r"^[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}$")]
"""32 bytes in Z85, as ZeroMQ writes them."""


def _elsewhere(zone: str) -> str:
    if zone == DEVICE:
        raise ValueError("a node is not on this device, so its zone has another name")
    return zone


Zone = Annotated[Name, AfterValidator(_elsewhere)]


def _port(address: str) -> str:
    if not 1 <= int(address.rpartition(":")[2]) <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return address


TcpAddress = Annotated[
    str,
    Field(pattern=r"^tcp://(\*|[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$", max_length=300),
    AfterValidator(_port),
]
"""``tcp://HOST:PORT``. HOST is a name, an address (IPv6 in brackets), or ``*`` to listen on all."""


class NodeKey(Model):
    """What the home knows of a node: who it is, where it is, and which labels it may see."""

    name: Name
    public: CurveKey
    zone: Zone = "node"
    labels: list[Name] = Field(default_factory=list, max_length=32)


class NodeFile(NodeKey):
    """What the node has: its secret, and the key that the kernel must show it."""

    secret: CurveKey
    server: CurveKey
