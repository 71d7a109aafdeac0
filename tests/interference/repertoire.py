"""The repertoire: which syscalls a process might make, how often, and what it is best followed by.

It knows nothing about the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.interference import syscalls as made
from tests.interference.mind import Mind
from tests.interference.syscalls import Call

CALLS: Final[dict[str, tuple[Callable[[Mind], Call], int]]] = {
    "spawn": (made.spawn, 6), "fork": (made.fork, 6), "exit": (made.exit_, 5),
    "wait": (made.wait, 8), "info": (made.info, 2), "list": (made.list_, 1),
    "generate": (made.generate, 12), "embed": (made.embed, 3), "tool": (made.tool, 8),
    "read": (made.read, 5), "append": (made.append, 5), "compact": (made.compact, 3),
    "checkpoint": (made.checkpoint, 3), "restore": (made.restore, 4), "rewind": (made.rewind, 2),
    "put": (made.put, 6), "get": (made.get, 5), "search": (made.search, 5), "keys": (made.keys, 3),
    "write": (made.write, 6), "look": (made.look, 6), "folder": (made.folder, 3),
    "change": (made.change, 2), "send": (made.send, 6), "recv": (made.recv, 6),
    "publish": (made.publish, 4), "subscribe": (made.subscribe, 4), "request": (made.request, 3),
    "decide": (made.decide, 4), "capabilities": (made.capabilities, 4), "grant": (made.grant, 3),
    "grant too": (made.grant, 0),
}  # fmt: skip
"""What a process might do, and how often it does."""

TELL: Final = {
    "exit", "append", "compact", "checkpoint", "put", "write", "send", "publish", "request",
    "grant", "decide",
}  # fmt: skip
"""Most is shown by those of many labels that do this, and by those of few that do the others."""
HEAR: Final = {
    "wait", "info", "read", "restore", "get", "search", "keys", "look", "folder", "recv",
    "subscribe", "capabilities", "generate", "embed", "tool", "spawn", "grant too",
}  # fmt: skip

PASSING: Final = {"get", "search", "look", "tool", "generate"}
"""What is best done by those to whom somebody listens, and who may learn something now."""

FOLLOWED: Final[dict[str, tuple[str, ...]]] = {
    "append": ("read", "generate"), "compact": ("read", "generate"),
    "checkpoint": ("info", "restore"), "send": ("recv",), "grant": ("capabilities", "info"),
    "put": ("get", "keys", "keys", "search"), "write": ("look",),
    "decide": ("capabilities", "request"),
    "fork": ("generate", "read"), "asked": ("decide", "search", "tool"),
    "decided": ("capabilities",), "own checkpoint": ("restore", "info"), "own exit": ("wait",),
    "own append": ("read",),
}  # fmt: skip
"""What somebody does to whom another has done something, or whom a question below concerns."""
