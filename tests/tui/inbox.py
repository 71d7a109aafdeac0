"""What waits for a decision, as the kernel of the stage gives it, and the view of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from shell.tui.app import ShellApp
from shell.tui.reader import Reader
from shell.tui.rights import Rights
from tests.tui.stage import staged

PLAN = "/inbox/plan.md"
BEFORE = b"# Plan\nread\nwait\n"


def asking(id: int = 7, **more: Any) -> dict[str, Any]:
    """As ``cap.list`` gives it. Always two hours old, so that it looks the same."""
    now = time.time()
    row: dict[str, Any] = {
        "id": id, "pid": 8, "name": "ops", "call": "tool.call", "capability": "tool:shell.run",
        "arguments": {"tool": "shell.run", "arguments": {"command": "rm -r /tmp/build"}},
        "buffers": [], "labels": ["private"], "hash": f"{id:02}" * 32,
        "reason": "the disk is full", "status": "pending", "created": now - 7530,
        "expires": now + 75_030, "decided": None, "by": None, "always": False, "note": "",
    }  # fmt: skip
    return row | more


def writing(id: int = 9, text: str = "# Plan\nread\nwrite\n", **more: Any) -> dict[str, Any]:
    arguments = {"path": PLAN, "text": text, "labels": ["draft"]}
    return asking(
        id, pid=2, name="research", call="fs.write", capability="fs:/inbox:w", arguments=arguments,
        reason="", labels=[], **more,
    )  # fmt: skip


def stat(version: int = 3, size: int = 20) -> dict[str, Any]:
    file = {"path": PLAN, "version": version, "size": size, "hash": "ab" * 32, "labels": []}
    return file | {"owner": 2, "time": time.time() - 7530, "deleted": False}


def listed(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"rules": [], "labels": [], "approvals": list(rows), "more": False} | more


def inbox(
    folder: Path,
    *rows: dict[str, Any],
    content: bytes = BEFORE,
    rights: Rights | None = None,
    theme: str = "llmos-dark",
    **given: Any,
) -> ShellApp:
    """``rows``: those that wait. One that is decided goes."""
    waiting = list(rows)

    def decide(args: dict[str, Any]) -> dict[str, Any]:
        (row,) = [row for row in waiting if row["id"] == args["approval"]]
        waiting.remove(row)
        status = "used" if args["approve"] else "rejected"
        return {"approval": row | {"status": status, "always": args.get("always", False)}}

    answers = {
        "cap_list": lambda args: listed(
            *(row for row in waiting if row["id"] > args.get("after", 0))
        ),
        "cap_decide": decide,
        "fs_stat": stat(),
    }
    app = staged(folder, first="approvals", rights=rights, theme=theme, **(answers | given))

    async def read(path: str, version: int | None = None, pid: int | None = None) -> bytes:
        app.link.made.append(("content", {"path": path, "version": version, "pid": pid}))
        await asyncio.sleep(0)
        return content

    app.link.content = read
    return app


def pane(app: ShellApp) -> str:
    return app.screen.query_one("#whole", Reader).text
