"""A context: a head in a tree of immutable messages.

Each message points at the one before it. So an append is one new message, a fork, a
checkpoint and a rewind are one pointer each, and nothing is ever copied or overwritten. It
knows nothing about processes, tokens or models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from llmagentos.abi.errors import ECONTEXT, ENOENT
from llmagentos.abi.process import Role
from llmagentos.abi.talk import ChatMessage

_MOST_MESSAGES: Final = 20_000
_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One message. ``sources``: for a summary, the messages that it stands for. ``depth`` is
    the number of messages up to and including this one, ``size`` how many bytes they take."""

    id: int
    parent: Node | None
    message: ChatMessage
    time: float
    sources: tuple[int, ...] = ()
    depth: int = 1
    size: int = 0

    @property
    def role(self) -> Role:
        return self.message.role

    @property
    def content(self) -> str:
        return self.message.content


def grow(
    parent: Node | None,
    id: int,
    message: ChatMessage,
    time: float,
    sources: tuple[int, ...] = (),
) -> Node:
    """A message after ``parent``."""
    depth, size = (parent.depth, parent.size) if parent else (0, 0)
    return Node(id, parent, message, time, sources, depth + 1, size + bytes_of(message))


def bytes_of(message: ChatMessage) -> int:
    """How many bytes it takes, about: a few for what msgpack puts around the texts."""
    size = len(message.content.encode()) + 32
    for call in message.tool_calls:
        size += len(call.name.encode()) + len(call.arguments.encode()) + len(call.id.encode()) + 32
    return size


def messages(head: Node | None, last: int | None = None) -> list[Node]:
    """The messages up to ``head``, oldest first; only the ``last`` so many."""
    found: list[Node] = []
    while head is not None and (last is None or len(found) < last):
        found.append(head)
        head = head.parent
    found.reverse()
    return found


def check_room(head: Node | None, messages: int, more: int) -> None:
    """Raises ``ECONTEXT`` if so many more messages, of ``more`` bytes, would be too much to keep
    in memory, and to look through while others wait."""
    if depth(head) + messages > _MOST_MESSAGES or size(head) + more > _MOST_BYTES:
        raise ECONTEXT(
            f"the context has {depth(head):,} messages of {size(head):,} bytes; the most are "
            f"{_MOST_MESSAGES:,} of {_MOST_BYTES:,}",
            hint="compact it",
        )


def depth(head: Node | None) -> int:
    """How many messages a context has."""
    return head.depth if head else 0


def size(head: Node | None) -> int:
    """How many bytes a context takes."""
    return head.size if head else 0


def rewound(head: Node | None, id: int) -> Node | None:
    """The head as it was when message ``id`` was the last; 0 is the empty context."""
    if id == 0:
        return None
    while head is not None and head.id != id:
        head = head.parent
    if head is None:
        raise ENOENT(
            f"the context has no message {id}", hint="ctx.read lists the ids of its messages"
        )
    return head
