"""How processes are shown: the rows of ``ps`` and ``top``.

It knows nothing about where they come from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from shell.table import render
from shell.terminal import duration, paint

if TYPE_CHECKING:
    from llmagentos.abi.process import ProcessInfo

COLUMNS: Final = (
    "PID", "PPID", "NAME", "STATE", "MODEL@DRIVER", "IN", "OUT", "TOK/S", "CONTEXT", "AGE", "EXIT",
)  # fmt: skip
_RIGHT: Final = ("PID", "PPID", "IN", "OUT", "TOK/S", "CONTEXT", "AGE", "EXIT")
_COLOURS: Final = {
    "RUNNING": "green",
    "READY": "cyan",
    "WAITING": "yellow",
    "STOPPED": "magenta",
    "ENDED": "bright_black",
}


def process_table(
    processes: Sequence[ProcessInfo],
    *,
    tree: bool = False,
    room: int | None = None,
) -> str:
    """The process table, as wide as the terminal."""
    now = time.time()
    ordered = list(in_tree(processes)) if tree else [(0, process) for process in processes]
    return render(
        [_row(process, depth, now) for depth, process in ordered],
        COLUMNS,
        shorten=("MODEL@DRIVER", "NAME"),
        omit=("PPID", "CONTEXT", "AGE", "IN", "MODEL@DRIVER", "TOK/S"),
        right=_RIGHT,
        paint={"STATE": _state_colour, "EXIT": _exit_colour},
        room=room,
    )


def state(process: ProcessInfo) -> str:
    """``WAITING(driver)``."""
    word = word_of(process.state)
    return f"{word}({process.reason})" if process.reason else word


def word_of(state: str) -> str:
    """For a person a process has ended, whether somebody has collected it or not."""
    return "ENDED" if state == "ZOMBIE" else state


def ending(process: ProcessInfo) -> str:
    """Its exit code, or the signal that ended it; empty while it lives."""
    if process.exit is None:
        return ""
    return process.exit.signal or str(process.exit.code)


def place(process: ProcessInfo) -> str:
    """``model@driver`` of its last burst."""
    if not process.model:
        return "-"
    return f"{process.model}@{process.driver}" if process.driver else process.model


def _row(process: ProcessInfo, depth: int, now: float) -> dict[str, str]:
    usage = process.usage
    limit = process.limits.context_tokens
    indent = "  " * (depth - 1) + "└ " if depth else ""
    return {
        "PID": str(process.pid),
        "PPID": str(process.ppid),
        "NAME": indent + process.name,
        "STATE": state(process),
        "MODEL@DRIVER": place(process),
        "IN": str(usage.prompt_tokens),
        "OUT": str(usage.completion_tokens),
        "TOK/S": f"{usage.tokens_per_second:.1f}" if usage.decode_seconds else "-",
        "CONTEXT": f"{process.context_tokens}/{limit}" if limit else str(process.context_tokens),
        "AGE": duration((process.ended or now) - process.started),
        "EXIT": ending(process),
    }


def in_tree(processes: Sequence[ProcessInfo]) -> Iterator[tuple[int, ProcessInfo]]:
    """Each with its depth, children after their parent. Whose parent is gone is a root."""
    there = {process.pid for process in processes}
    children: dict[int, list[ProcessInfo]] = {}
    for process in processes:
        parent = process.ppid if process.ppid in there and process.ppid != process.pid else 0
        children.setdefault(parent, []).append(process)
    # A stack, not recursion: agents choose how deep their tree is.
    stack = [(0, process) for process in reversed(children.get(0, []))]
    while stack:
        depth, process = stack.pop()
        yield depth, process
        stack.extend((depth + 1, child) for child in reversed(children.get(process.pid, [])))


def _state_colour(text: str) -> str:
    return paint(text, _COLOURS.get(text.partition("(")[0].rstrip()))


def _exit_colour(text: str) -> str:
    return text if text in ("", "0") else paint(text, "red")
