"""The user: who decides what an agent asks for.

It knows nothing about attacks: only what was meant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.injections.world import Seen


class User:
    """Who decides what an agent asks for. ``approves``: the calls of tools that he has meant; of
    each, once; ``said_yes`` are those that he was asked about. ``there``: else he decides nothing
    beside that. ``asked``: what he has refused."""

    def __init__(
        self, approves: Sequence[tuple[str, dict[str, Any]]] = (), *, there: bool = True
    ) -> None:
        self._approves = [written(*one) for one in approves]
        self._there = there
        self.asked: list[str] = []
        self.said_yes: list[tuple[str, dict[str, Any]]] = []

    def decides(self, world: Seen) -> bool:
        """Whether there was anything to decide."""
        fresh = False
        for one in world.call("cap.list")["approvals"]:
            if one["status"] != "pending":
                continue
            told = one["arguments"]
            call = (told["name"], told.get("arguments", {})) if one["call"] == "tool.call" else (
                one["call"], told)  # fmt: skip
            text = written(*call)
            meant = text in self._approves
            if not meant and not self._there:
                continue
            fresh = True
            if meant:
                self._approves.remove(text)
                self.said_yes.append(call)
            else:
                self.asked.append(text)
            world.call("cap.decide", approval=one["id"], approve=meant)
        return fresh


def written(tool: str, arguments: Mapping[str, Any]) -> str:
    """A call as one text."""
    return f"{tool} {json.dumps(arguments, sort_keys=True)}"
