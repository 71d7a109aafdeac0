"""A stage for the TUI: a link whose answers are written down here, so that a screen always looks
the same.

For looks and keys ONLY; that it works with a kernel is tested against one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen

from llmagentos.abi.errors import ENOENT, LLMOSError
from llmagentos.exchange import Piece
from llmagentos.home import Home
from shell.tui.app import ShellApp
from shell.tui.feed import Change
from shell.tui.link import Link
from shell.tui.rights import Rights
from shell.tui.settings import Settings

SIZES = {"small": (80, 24), "middle": (120, 40), "large": (200, 60)}
THEMES = ("llmos-dark", "llmos-light")
PATIENCE = 30.0
"""Seconds after which what did not come yet will not come, however loaded the machine is."""
LOOKS = [*((size, THEMES[0]) for size in SIZES), ("middle", THEMES[1])]
"""Sizes and themes in which every scene is looked at."""


def process(pid: int, name: str = "", state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """A row as ``proc.list`` gives it. Always two hours old, so that it looks the same."""
    usage = {
        "prompt_tokens": 100 * pid, "cached_tokens": 0, "completion_tokens": 10 * pid, "turns": 1,
        "tool_calls": 0, "money": 0.0, "queue_seconds": 0.0, "prefill_seconds": 0.0,
        "decode_seconds": 2.0,
    }  # fmt: skip
    row: dict[str, Any] = {
        "pid": pid, "ppid": 1, "name": name or f"agent{pid}", "kind": "agent", "state": state,
        "reason": None, "manifest": name or "dialogue", "model": "smollm2-135m-instruct",
        "driver": "edge", "host": "host", "priority": 0, "labels": [], "limits": {},
        "usage": usage, "context_messages": 3, "context_tokens": 40 * pid, "kv_bytes": 1_000_000,
        "children": [], "started": time.time() - 7530, "ended": None, "exit": None,
    }  # fmt: skip
    return row | more


def town() -> list[dict[str, Any]]:
    """Processes in every state."""
    ended = {
        "pid": 9, "name": "codegen", "code": 1, "signal": None, "answer": "", "usage": {},
        "error": {"code": "EBUDGET", "message": "no tokens are left", "hint": "", "detail": {}},
        "started": time.time() - 7530, "ended": time.time() - 7400,
    }  # fmt: skip
    return [
        process(1, "init", "READY", ppid=0, kind="init", manifest=None, model=None, driver=None),
        process(2, "research", children=[3, 4, 5], limits={"tokens": 20000}),
        process(3, "worker", ppid=2),
        process(4, "worker", "WAITING", ppid=2, reason="tool"),
        process(5, "critic", "READY", ppid=2, labels=["private"]),
        process(6, "assistant", "WAITING", reason="mail"),
        process(7, "translate", "STOPPED", priority=5),
        process(8, "ops", "WAITING", reason="approval"),
        process(9, "codegen", "ZOMBIE", exit=ended, ended=time.time() - 7400),
        process(10, "summarise", "NEW", host=None, model=None, driver=None),
    ]


def driver(name: str = "edge", **more: Any) -> dict[str, Any]:
    """As ``drv.list`` gives it."""
    model = {"name": "smollm2-135m-instruct", "context_length": 8192}
    row: dict[str, Any] = {
        "name": name, "kind": "edge", "state": "ready", "note": "", "progress": None,
        "models": [model], "slots": 16, "running": 3, "features": ["preempt", "fork"], "zone": "",
        "labels": [], "os_pid": 4321, "beat_age": 0.2, "bursts": 120, "tokens": 48_000,
        "tokens_per_second": 96.5,
    }  # fmt: skip
    return row | more


def answers() -> dict[str, Any]:
    """What the kernel would say: a value, or a function of the arguments."""

    def listed(args: dict[str, Any]) -> dict[str, Any]:
        pids = args.get("pids")
        rows = [row for row in town() if pids is None or row["pid"] in pids]
        return {"processes": rows, "next": None}

    return {
        "sys.info": {
            "version": "0.1.0", "wire": 1, "boot": 3, "os_pid": 99, "uptime": 7530.0,
            "default_model": "smollm2-135m-instruct", "processes": 10, "queued": 2, "running": 3,
            "calls": 5, "events_socket": "",
        },
        "drv.list": {"drivers": [driver(), driver("host", kind="host", models=[])], "queued": 2},
        "cap.list": {"rules": [], "labels": [], "approvals": [], "more": False},
        "proc.list": listed,
    }  # fmt: skip


class StagedLink(Link):
    """``given``: answers beside or instead of those of ``answers``. ``made``: the calls made."""

    def __init__(self, home: Home, given: dict[str, Any], rights: Rights) -> None:
        super().__init__(home)
        self.given = answers() | given
        self.rights = rights
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.looks = 0
        """How often the feed has looked."""
        self.pieces: list[Piece] = []
        """What whoever waits for a process hears of it, before nothing more comes."""

    @property
    def up(self) -> bool:
        return True

    async def learn(self) -> Rights:
        self.looks += 1
        return self.rights

    async def call(self, name: str, /, *, within: float = 1.0, **args: Any) -> Any:
        given = {key: value for key, value in args.items() if value is not None}
        self.made.append((name, given))
        await asyncio.sleep(0)
        if name not in self.given:
            raise ENOENT(f"nothing is written down for {name}")
        answer = self.given[name]
        answer = answer(given) if callable(answer) else answer
        if isinstance(answer, LLMOSError):
            raise answer
        return answer

    def open(self, name: str, /, *, buffers: Sequence[bytes] = (), **args: Any) -> Any:
        self.made.append((name, args))
        return _Waiting(self.pieces)

    def calls(self, name: str) -> list[dict[str, Any]]:
        """The arguments with which this was called."""
        return [args for made, args in self.made if made == name]


class _Waiting:
    """A ``proc.wait`` for a process that does not end."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces

    async def pieces(self) -> AsyncIterator[Piece]:
        for piece in self._pieces:
            yield piece
        await asyncio.Event().wait()

    async def result(self) -> dict[str, Any]:
        return {}


def staged(
    folder: Path,
    *,
    first: str = "processes",
    theme: str = THEMES[0],
    rights: Rights | None = None,
    **given: Any,
) -> ShellApp:
    """The TUI on this stage. ``given``: answers, with ``_`` for the ``.`` of their names."""
    home = Home(folder)
    home.create()
    told = {name.replace("_", ".", 1): answer for name, answer in given.items()}
    link = StagedLink(home, told, rights or Rights())
    app = ShellApp(link, Settings(theme), first=first, tick=0.05)
    vitals = app.feed.vitals
    for history, value in ((vitals.pace, 96.5), (vitals.queue, 2.0), (vitals.load, 3 / 16)):
        # As if it had been so for long: else how it looks depends on how long the test takes.
        history.extend([value] * 120)
    return app


def run(
    app: ShellApp,
    play: Callable[[Pilot[int]], Awaitable[None]],
    size: tuple[int, int] = SIZES["middle"],
) -> None:
    """The app without a terminal, and what is done to it. A fault of its own fails the test."""
    faults: list[Exception] = []

    async def whole() -> None:
        async with app.run_test(size=size, notifications=True) as pilot:
            with patch.object(app, "fault", faults.append):
                await settled(pilot)
                await play(pilot)
        assert not app.last_words

    asyncio.run(whole())
    assert not faults, faults


async def settled(pilot: Pilot[int]) -> None:
    """Until what was begun is done, the feed has looked, and the screen shows it."""
    app = pilot.app
    assert isinstance(app, ShellApp)
    link = app.link
    assert isinstance(link, StagedLink)
    looks = link.looks
    await until(pilot, lambda: link.looks > looks)
    await until(pilot, lambda: not _waits(app.screen))


async def again(pilot: Pilot[int]) -> None:
    """As if the view had come to the front."""
    screen: Any = pilot.app.screen
    screen.live(Change(None, (), vitals=True))
    await settled(pilot)


def _waits(screen: Screen[Any]) -> bool:
    """Whether it has put something off for a moment: to read what the cursor rests on, or, as the
    view of one process does, to read anew what has changed."""
    timers = [timer._task for timer in screen._timers if timer._repeat == 0]
    stale: asyncio.Event | None = getattr(screen, "_stale", None)
    return any(task and not task.done() for task in timers) or bool(stale and stale.is_set())


async def until(pilot: Pilot[int], fact: Callable[[], object]) -> None:
    """Until it is so, nothing is left to be done at once, and the screen shows it. For what comes
    with time: fails only if it does not come at all, however loaded the machine is."""
    end = time.monotonic() + PATIENCE
    await pilot.pause()
    while not fact():
        assert time.monotonic() < end, f"still not so after {PATIENCE:g} s\n{text_of(pilot.app)}"
        await asyncio.sleep(0.005)
        await pilot.pause()


async def idle(app: App[Any]) -> None:
    """Until all that is to come waits for a clock or for the world outside, and the screen shows
    what there is. That is so or it is not: how loaded the machine is makes no difference."""
    await _still()
    app.screen._on_timer_update()
    await _still()


async def _still() -> None:
    loop: Any = asyncio.get_running_loop()
    end, quiet = time.monotonic() + PATIENCE, 0
    while quiet < 3:
        threads = loop._default_executor
        working = threads and (
            threads._work_queue.qsize() or threads._idle_semaphore._value < len(threads._threads)
        )
        quiet = 0 if working or loop._ready else quiet + 1
        assert time.monotonic() < end, f"not idle after {PATIENCE:g} s"
        await asyncio.sleep(0.001 if working else 0)


def text_of(app: App[Any]) -> str:
    """What is on the screen, as text."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(line.text.rstrip()[:width] for line in lines[:height])


def said(app: App[Any]) -> str:
    """What the app has told in its notes."""
    return "\n".join(note.message for note in app._notifications)
