"""Can a server's list, whatever is in it, be offered?"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mcp_types import Tool as Listed

from drivers.mcp.catalog import MOST, MOST_BYTES, Catalog
from drivers.mcp.names import offered


def original(name: str) -> str:
    """The server's name of a tool, from what it is called here."""
    found = re.sub(
        rb"_-([0-9a-f]{2})",
        lambda match: bytes([int(match[1], 16)]),
        name.partition(".")[2].encode(),
    )
    return found.decode("utf-8", "surrogatepass")


@given(st.text(max_size=40) | st.text("_-/a2f.", max_size=40))
def test_can_the_name_be_told_from_what_it_became(tool: str) -> None:
    name = offered("driver", tool)
    if name is not None:
        assert original(name) == tool


def test_do_common_names_stay() -> None:
    assert offered("time", "get_current-time.v2") == "time.get_current-time.v2"
    assert offered("fs", "a/b") == "fs.a_-2fb"
    assert offered("fs", "x" * 200) is None


def listed(name: str, **more: Any) -> Listed:
    return Listed(name=name, **({"input_schema": {"type": "object"}} | more))


def test_is_what_cannot_be_offered_left_out() -> None:
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"properties": {"a": deep}}
    tools = [
        listed("good", description="d" * 20_000),
        listed("good"),
        listed("x" * 130),
        listed("deep", input_schema=deep),
        listed("huge", input_schema={"type": "object", "x": "y" * MOST_BYTES}),
        listed("last", title="A title"),
    ]
    catalog = Catalog("d", tools, ["private"])
    assert [card.name for card in catalog.cards] == ["d.good", "d.last"]
    assert len(catalog.cards[0].description) == 10_000
    assert catalog.cards[1].description == "A title"
    assert catalog.cards[0].labels == ["private"]
    assert catalog.note == "2 tools, 4 left out (see its log)"


def test_is_one_tool_no_tools() -> None:
    assert Catalog("d", [listed("t")], []).note == "1 tool"
    assert Catalog("d", [], []).note == "0 tools"


def test_is_the_number_of_tools_bounded() -> None:
    catalog = Catalog("d", [listed(f"t{n}") for n in range(MOST + 5)], [])
    assert (len(catalog.cards), catalog.left_out) == (MOST, 5)
