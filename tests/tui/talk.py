"""An agent and its context, as the kernel of the stage tells of them, and the view of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from shell.tui.app import ShellApp
from shell.tui.conversation import Bubble
from tests.tui.stage import StagedLink, process, settled, staged

PID = 6


def message(id: int, role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "role": role, "content": content, "time": 1.0e9, "sources": []} | more


MESSAGES = [
    message(1, "system", "Be brief."),
    message(2, "user", "What is a **ferry**?"),
    message(3, "tool", '{"time": "12:00", "place": "[red]harbour"}'),
    message(4, "assistant", "A boat.\n\n- for people\n- for cars"),
]


def detail(**more: Any) -> dict[str, Any]:
    row = process(PID, "assistant", "WAITING", reason="mail", limits={"tokens": 2000})
    return {
        "process": row | more,
        "placement": {"chosen": "edge", "considered": {"edge": "chosen", "cloud": "labels"},
                      "time": 1.0},
        "history": [{"time": 1.0e9, "from": "NEW", "to": "READY", "why": "it was assigned"}],
        "spec": {"metadata": {"name": "assistant", "description": ""}, "spec": {"tools": []}},
        "ledger": {"tokens": {"spent": 1500, "reserved": 200, "limit": 2000}},
        "checkpoints": ["start"],
        "mailbox": 2,
    }  # fmt: skip


def talking(folder: Path, messages: list[dict[str, Any]] | None = None, **more: Any) -> ShellApp:
    """The view of an agent, its context, and what else the kernel says."""
    read = {"messages": MESSAGES if messages is None else messages, "tokens": 100}
    given: dict[str, Any] = {
        "proc_info": detail(), "ctx_read": lambda args: read,
        "ctx_checkpoint": {"checkpoint": "c2", "messages": 4}, "ctx_restore": {"messages": 1},
        "ctx_rewind": {"messages": 2}, "proc_fork": {"pid": 9, "name": "cub", "notices": []},
        "proc_limits": {"limits": {}}, "ipc_send": {"id": 1},
    }  # fmt: skip
    return staged(folder, **(given | more))


def link(app: ShellApp) -> StagedLink:
    assert isinstance(app.link, StagedLink)
    return app.link


async def opened(app: ShellApp, pilot: Pilot[int]) -> None:
    app.open_agent(PID)
    await settled(pilot)


def bubbles(app: ShellApp) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in app.screen.query(Bubble)]
