"""Answers: what a server says to a call, as the result of a job or as an error of ours.

A result keeps the shape that the protocol gives it: ``content``, a list of parts (texts, images in
base64, …), and ``structuredContent`` where there is some.

A tool that says ``isError`` becomes ``EINVAL``, not ``EDRIVER``: the machinery works, the tool has
looked at what it was asked for and said no, in words that are meant for whoever asked. Another
driver, or the same call again, would help as little as with a bad argument. ``EDRIVER`` is left for
what the caller can't mend: a server that died, or broke the protocol. It knows nothing about how
answers come.
"""

from __future__ import annotations

from typing import Final

from mcp import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    REQUEST_TIMEOUT,
    CallToolResult,
    TextContent,
)

from llmagentos.abi.errors import (
    EDRIVER,
    EINVAL,
    ENOENT,
    ETIMEOUT,
    MAX_WORDS,
    LLMOSError,
)
from llmagentos.abi.model import Json
from llmagentos.abi.wire import pack

MOST: Final = 1024 * 1024
"""Bytes of a result."""

_TOLD: Final = 16_000
"""Characters of a refusal that is longer than a message may be."""


def content(tool: str, result: CallToolResult) -> Json:
    """Raises ``EINVAL`` if the tool refuses, ``EDRIVER`` if it says too much."""
    if result.is_error:
        raise _refusal(tool, result)
    said = result.model_dump(
        mode="json", by_alias=True, exclude_none=True, include={"content", "structured_content"}
    )
    size = len(pack(said))
    if size > MOST:
        raise EDRIVER(
            f"{tool} gave {size:,} bytes; the most is {MOST:,}",
            hint="ask it for less at once, or have it write a file",
            detail={"bytes": size, "most": MOST},
        )
    return said


def _refusal(tool: str, result: CallToolResult) -> EINVAL:
    texts = (part.text for part in result.content if isinstance(part, TextContent))
    said = "\n".join(texts).strip() or "it gave no reason"
    detail: dict[str, Json] = {"tool": tool}
    if len(said) > MAX_WORDS - 200:
        detail |= {"text": said[:_TOLD], "characters": len(said)}
    return EINVAL(
        f"{tool} says: {said}",
        hint="the tool refuses this call itself: call it with other arguments, or do without it",
        detail=detail,
    )


def failure(tool: str, error: MCPError, why: str) -> LLMOSError:
    """What an error of the protocol means. ``why`` the connection ended, if it has."""
    said = error.message or "it gave no reason"
    detail = {"tool": tool, "code": error.code}
    if error.code == CONNECTION_CLOSED:
        return EDRIVER(
            f"the MCP server went away while it worked on {tool}: {why or said}",
            hint="nobody knows how far it came, so it is not done again; look at what it did",
            detail=detail,
        )
    if error.code == INVALID_PARAMS:
        return EINVAL(
            f"{tool} can't take these arguments: {said}",
            hint="tool.list has the schema of its arguments",
            detail=detail,
        )
    if error.code == METHOD_NOT_FOUND:
        return ENOENT(f"the MCP server has no {tool}: {said}", hint="see tool.list", detail=detail)
    if error.code == REQUEST_TIMEOUT:
        return ETIMEOUT(f"{tool}: {said}", hint="the server's own time is up", detail=detail)
    return EDRIVER(
        f"the MCP server failed at {tool}: {said}", hint="see the driver's log", detail=detail
    )
