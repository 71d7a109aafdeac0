"""What goes into the machine, and what comes out of it.

In: an ``Input`` and the time. Out: ``Effects``, in the order in which they must happen: the
rows are committed, then the messages leave. It knows nothing about how either is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llmagentos.abi.keys import NodeKey
from llmagentos.abi.model import Model
from llmagentos.abi.wire import Message


class FromClient(NamedTuple):
    """A message came from ``peer`` on the syscall socket."""

    peer: bytes
    message: Message


class FromDriver(NamedTuple):
    """A message came from ``peer`` on the driver socket, or from a node: with what its key says."""

    peer: bytes
    message: Message
    key: NodeKey | None = None


class ClientHere(NamedTuple):
    """A client has connected, or has come back."""

    peer: bytes


class ClientGone(NamedTuple):
    """The connection of a client ended."""

    peer: bytes


class DriverGone(NamedTuple):
    """The connection of a driver or host ended."""

    peer: bytes
    why: str = "its connection ended"


class Tick(NamedTuple):
    """Time has passed."""


Input = FromClient | FromDriver | ClientHere | ClientGone | DriverGone | Tick


class Send(NamedTuple):
    """A reply or a piece of a stream, to a client, as the frames of its message."""

    peer: bytes
    frames: list[bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """A driver-protocol message, to a driver or host."""

    peer: bytes
    kind: str
    body: Model | None = None


class Put(NamedTuple):
    """Insert a row, or replace the one with the same key."""

    table: str
    row: dict[str, Any]


class Delete(NamedTuple):
    """Delete the rows whose columns have these values."""

    table: str
    where: dict[str, Any]


Row = Put | Delete


@dataclass(slots=True)
class Effects:
    """The machine's answer to one input. ``events`` are rows of the event stream: they are
    committed with the others, and published afterwards. ``doubted``: clients of whom nobody knows
    whether they are there. Of one that is not, or not any more one day, ``ClientGone`` must tell.
    ``size``: bytes of the replies."""

    rows: list[Row] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    doubted: list[bytes] = field(default_factory=list)
    size: int = 0
    stop: bool = False
