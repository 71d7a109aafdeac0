"""An MCP server that does what a test wants, made with the official SDK. Run as a program.

``--http PORT`` serves streamable HTTP; else its standard streams. ``--banner``, ``--flood`` and
``--mute`` are how servers misbehave.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.utilities.types import Image
from pydantic import BaseModel

server = MCPServer("scripted", version="1.2.3")


OUTPUT = os.dup(1)
"""The SDK keeps standard output for itself; this one it does not know."""


def note(log: str, line: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{line}\n")


def _wait_for_more(log: str) -> str:
    while len(Path(log).read_text().splitlines()) < 2:
        time.sleep(0.02)
    return "over"


class Answer(BaseModel):
    answer: str


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool(name="odd/name_-é")
def odd() -> str:
    """Its name has characters that others may not have."""
    return "odd"


@server.tool(structured_output=True)
def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


@server.tool()
def whoami() -> dict[str, Any]:
    """Process id and environment."""
    return {"pid": os.getpid(), "environment": dict(os.environ)}


@server.tool()
async def hang(log: str, ctx: Context) -> str:
    """Tells the file that it has begun, and when it is cancelled."""
    note(log, str(os.getpid()))
    try:
        await asyncio.sleep(600)
    except BaseException:
        note(log, "cancelled")
        raise
    return "never"


@server.tool()
async def linger(log: str) -> str:
    """Tells the file that it has begun, and ends when there is more in it."""
    note(log, "begun")
    return await anyio.to_thread.run_sync(_wait_for_more, log)


@server.tool()
async def steps(ctx: Context) -> str:
    """Tells how far it is."""
    for step in range(3):
        await ctx.report_progress(step + 1, 3, f"step {step + 1}")
    return "done"


@server.tool(structured_output=False)
def big(size: int) -> str:
    """A text of so many bytes."""
    return "x" * size


@server.tool()
def picture() -> Image:
    """A picture of three bytes."""
    return Image(data=b"\x01\x02\x03", format="png")


@server.tool()
def refuse(length: int = 0) -> str:
    """Fails, in so many words."""
    raise ToolError("there is no city of that name" + "!" * length)


@server.tool()
async def change(ctx: Context, remove: bool = False) -> str:
    """One tool more, or one less."""
    if remove:
        server.remove_tool("extra")
    else:
        server.add_tool(lambda: "extra", name="extra", description="New.")
    await ctx.notify_tools_changed()
    if ctx.protocol_version != "2026-07-28":
        await ctx.session.send_tool_list_changed()
    return "changed"


@server.tool()
async def ask(what: str, ctx: Context) -> str:
    """Asks the client for something; the client's answer."""
    text = types.TextContent(type="text", text="hello")
    try:
        if what == "sampling":
            message = types.SamplingMessage(role="user", content=text)
            await ctx.session.create_message([message], max_tokens=5)
        elif what == "roots":
            await ctx.session.list_roots()
        else:
            await ctx.elicit("your name?", Answer)
    except Exception as error:
        return f"refused: {error}"
    return "granted"


@server.tool()
def die(status: int = 3) -> str:
    """Ends the server in the middle of the call."""
    os._exit(status)


@server.tool()
def babble(lines: int) -> str:
    """Writes nonsense to standard output."""
    os.write(OUTPUT, b"this is no message\n" * lines)
    return "said"


@server.tool()
def shout(lines: int) -> str:
    """Writes to standard error."""
    for _ in range(lines // 100):
        os.write(2, (b"x" * 80 + b"\n") * 100)
    return "shouted"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", type=int)
    parser.add_argument("--banner", action="store_true")
    parser.add_argument("--flood", action="store_true")
    parser.add_argument("--mute", action="store_true")
    options = parser.parse_args()
    if options.banner:
        sys.stdout.write("Welcome to the server!\n\n{}\n")
        sys.stdout.flush()
    while options.flood:
        sys.stdout.buffer.write(base64.b64encode(os.urandom(60)) + b"\n")
    while options.mute:
        time.sleep(1)
    if options.http:
        server.run("streamable-http", port=options.http)
    else:
        server.run()


if __name__ == "__main__":
    main()
