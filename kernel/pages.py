"""Pages: the messages that a summary has taken the place of, as they come back from the store.

In memory are contexts only, so a page is read from where all messages lie, word for word. It knows
nothing about who may read a context.
"""

from __future__ import annotations

from collections.abc import Iterable
from json import loads
from typing import TYPE_CHECKING, Any

from kernel.context import Node
from kernel.effects import Put
from kernel.records import node_from
from llmagentos.abi.errors import ENOENT

if TYPE_CHECKING:
    from kernel.machine import Machine

Sources = dict[int, list[int]]
"""By the id of a summary: the messages that it stands for."""


def behind(kernel: Machine, context: Iterable[Node], summary: int) -> list[Node]:
    """The messages that ``summary`` stands for, oldest first. It is one of the ``context``, or
    among what one there stands for. Raises ``ENOENT``."""
    fresh = _uncommitted(kernel)
    level: Sources = {node.id: list(node.sources) for node in context if node.sources}
    seen: set[int] = set()
    while summary not in level:
        if not level:
            raise ENOENT(
                f"{summary} is no summary of this context, nor of what was compacted in it",
                hint="ctx.read shows summaries by their sources",
            )
        seen |= level.keys()
        ids = {id for sources in level.values() for id in sources} - seen
        level = dict(kernel.services.history.summaries(sorted(ids)))
        level |= {id: loads(fresh[id]["sources"]) for id in ids & fresh.keys()}
        level = {id: sources for id, sources in level.items() if sources}
    wanted = level[summary]
    found = {row["id"]: row for row in kernel.services.history.pages(wanted)}
    found |= {id: fresh[id] for id in wanted if id in fresh}
    if lost := [id for id in wanted if id not in found]:
        raise ENOENT(f"message {lost[0]}, which {summary} stands for, is no longer kept")
    return [node_from(found[id]) for id in wanted]


def _uncommitted(kernel: Machine) -> dict[int, Any]:
    """Messages of the turn at hand, by id: the store doesn't have them yet."""
    return {
        row.row["id"]: row.row
        for row in kernel.effects.rows
        if isinstance(row, Put) and row.table == "messages"
    }
