"""What somebody asks to be allowed, in lines to be read: who, why, exactly what, and what it would
change in a file.

What can't be seen is written out. Pure: it knows nothing about screens, nor what is decided.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Final

from shell.commands.approvals import visible
from shell.terminal import clip, duration

if TYPE_CHECKING:
    from llmagentos.abi.calls.cap import Approval
    from shell.tui.reader import Line

_MOST_LINES: Final = 5000
"""Of a text that is compared: with many more it takes too long."""
_KINDS: Final = {"+": "added", "-": "removed", "@": "head"}


def searched(approval: Approval) -> str:
    """What a filter looks at."""
    words = [approval.status, approval.name, approval.call, approval.capability, *approval.labels]
    arguments = json.dumps(approval.arguments, ensure_ascii=False)
    return f"{approval.id} {approval.pid} {' '.join(words)} {arguments}".lower()


def coarse(seconds: float) -> str:
    """What changes every second can't be read."""
    if seconds < 60:
        return f"{max(0, int(seconds))}s"
    return f"{int(seconds) // 60}m" if seconds < 3600 else duration(seconds)


def headline(approval: Approval, now: float) -> str:
    """Who asks, and what came of it."""
    status: str = approval.status
    if status == "pending":
        status = f"expires in {coarse(approval.expires - now)}"
    elif approval.decided is not None:
        by = "the user" if approval.by == 1 else f"process {approval.by}"
        status += f" {coarse(now - approval.decided)} ago by {by}"
    asked = f"asked {coarse(now - approval.created)} ago"
    who = f"{visible(approval.name)} (pid {approval.pid})"
    return f"approval {approval.id} of {who}: {asked}, {status}"


def whole(approval: Approval, change: list[Line] | None = None) -> list[Line]:
    """All of it. ``change``: what its text would change in a file, instead of the text."""
    always = ", always" if approval.always else ""
    facts = {
        "reason": json.dumps(approval.reason, ensure_ascii=False) if approval.reason else "",
        "call": approval.call,
        "capability": approval.capability + always,
        "labels": ", ".join(approval.labels),
        "answer": json.dumps(approval.note, ensure_ascii=False) if approval.note else "",
    }
    rows = [f"{name:<11} {visible(value)}" for name, value in facts.items() if value]
    rows += [f"{'content':<11} {one.size:,} bytes, SHA-256 {one.hash}" for one in approval.buffers]
    arguments = dict(approval.arguments)
    head = "arguments"
    if change:
        del arguments["text"]
        head = "arguments, without the text"
        change = [("", ""), *change]
    exact = visible(json.dumps(arguments, ensure_ascii=False, indent=2, sort_keys=True))
    return [
        *((row, "") for row in rows),
        *(change or ()),
        ("", ""),
        (head, "head"),
        *((line, "") for line in exact.split("\n")),
        ("", ""),
        (f"hash {approval.hash}", ""),
    ]


def writes(approval: Approval) -> bool:
    """Whether it is a text for a file, and not written yet."""
    texts = (approval.arguments.get("path"), approval.arguments.get("text"))
    pending = approval.call == "fs.write" and approval.status == "pending"
    return pending and all(isinstance(text, str) for text in texts)


def uncompared(approval: Approval, why: str) -> list[Line]:
    words = f"not compared with the file as it is now: {visible(why)}"
    return [*whole(approval), (words, "head")]


def difference(path: str, before: bytes, version: int, text: str) -> list[Line]:
    """Between a version of the file, 0 for none, and the text. Lines end with a line feed and with
    nothing else: what else could end one is shown."""
    old = f"{path}, version {version}, as it is now" if version else f"{path}, which is new"
    try:
        was = before.decode().split("\n") if version else []
    except UnicodeDecodeError:
        was, old = [], f"{path}, version {version}, which is no text"
    now = text.split("\n")
    if max(len(was), len(now)) > _MOST_LINES:
        head = f"all of the new text; more than {_MOST_LINES} lines are not compared"
        return [(head, "head"), *((f"+{visible(line)}", "added") for line in now)]
    lines = list(difflib.unified_diff(was, now, old, f"{path}, as it would be", lineterm=""))
    if not lines:
        return [(f"nothing would be different from version {version}", "head")]
    return [
        (visible(line), "head" if number < 2 else _KINDS.get(line[:1], ""))
        for number, line in enumerate(lines)
    ]


def decided(approval: Approval) -> str:
    said = "was refused" if approval.status == "rejected" else "was approved"
    for_good = ", and will not be asked again" if approval.always else ""
    waits = " (it is told when it makes the call again)" if approval.status == "approved" else ""
    what = f"{clip(visible(approval.capability), 200)} of {visible(approval.name)}"
    return f"approval {approval.id}: {what} (pid {approval.pid}) {said}{for_good}{waits}"
