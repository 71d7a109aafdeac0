"""The catalog: a server's list of tools, as cards.

Whatever the list is, what comes out can be registered: what can't be offered is left out, and told
of. It knows nothing about how servers live, or how tools are called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from mcp import Client
from mcp_types import Tool as Listed
from pydantic import ValidationError

from drivers.faults import first_problem
from drivers.mcp.names import offered
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.errors import EPROTO
from llmagentos.abi.model import Name
from llmagentos.abi.wire import Message, decode, encode

log = logging.getLogger("driver")

MOST: Final = 1024
"""Tools of one server."""

MOST_BYTES: Final = 2 * 1024 * 1024
"""Of all cards together: they must fit into a message, and into the list of all tools."""

_LONGEST: Final = 10_000


class Catalog:
    """``names`` of the server's tools, by what they are called here; ``left_out`` of them are not
    in it."""

    def __init__(self, driver: str, listed: Iterable[Listed], labels: Sequence[Name]) -> None:
        self.cards: list[ToolCard] = []
        self.names: dict[str, str] = {}
        self.left_out = 0
        room = MOST_BYTES
        for tool in listed:
            try:
                card, size = _card(driver, tool, labels)
            except EPROTO as error:
                self._leave_out(tool, error.message)
                continue
            if card.name in self.names:
                self._leave_out(tool, "there is one of that name already")
            elif size > room or len(self.cards) == MOST:
                self._leave_out(tool, "there are too many before it")
            else:
                room -= size
                self.cards.append(card)
                self.names[card.name] = tool.name

    def _leave_out(self, tool: Listed, why: str) -> None:
        self.left_out += 1
        log.warning("tool %.200r is not offered: %s", tool.name, why)

    @property
    def note(self) -> str:
        missing = f", {self.left_out} left out (see its log)" if self.left_out else ""
        count = len(self.cards)
        return f"{count} tool{'' if count == 1 else 's'}{missing}"


def _card(driver: str, tool: Listed, labels: Sequence[Name]) -> tuple[ToolCard, int]:
    """With its size in bytes. Raises ``EPROTO`` if it can't be sent."""
    name = offered(driver, tool.name)
    if name is None:
        raise EPROTO("its name is too long")
    said = tool.description or tool.title or ""
    if len(said) > _LONGEST:
        log.warning("the description of %s is cut: it has %s characters", name, f"{len(said):,}")
        said = said[: _LONGEST - 1] + "…"
    try:
        card = ToolCard(
            name=name,
            description=said,
            parameters=tool.input_schema,
            labels=list(labels),
            parallel=bool(tool.annotations and tool.annotations.read_only_hint),
        )
    except ValidationError as error:
        raise EPROTO(first_problem(error)) from None
    # As deep as it will be in a beat.
    frames = encode(Message("beat", body={"tools": [card.model_dump()]}))
    decode(frames)
    return card, len(frames[1])


async def listed_by(client: Client) -> list[Listed]:
    """All its tools; more than can be offered are not asked for."""
    if client.server_capabilities.tools is None:
        return []
    found: list[Listed] = []
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None or len(found) > MOST or not page.tools:
            return found
