"""Is the store's program asked as its contract says, and is what it tells passed on?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home
from shell import image
from shell.tui.views import models


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Home]:
    """A store whose program is this."""

    def given(text: str) -> Home:
        path = tmp_path / "store.py"
        path.write_text(f"import json, sys, time\n{text}")
        monkeypatch.setattr(
            image, "command", lambda module, *words: [sys.executable, str(path), *words]
        )
        return Home(tmp_path)

    return given


def test_the_program_is_asked_as_its_contract_says(program: Callable[[str], Home]) -> None:
    home = program("""
print(json.dumps({"stage": "copy", "done": 1, "total": 2, "unit": "files"}), flush=True)
print("x" * 200_000, file=sys.stderr)
print(json.dumps({"ok": True, "name": sys.argv[1:], "much": "y" * 200_000}))
""")
    steps: list[dict[str, Any]] = []
    result = asyncio.run(models.store(home, "pull", "--", "-x", on_progress=steps.append))
    assert result["name"] == ["pull", "--json", "--", "-x"]
    assert [step["stage"] for step in steps] == ["copy"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ('print(json.dumps({"error": {"code": "ENOENT", "message": "unknown"}}))', "ENOENT",
         "unknown"),
        ("sys.exit('no torch')", "EIO", "the model store failed: no torch"),
    ],
)  # fmt: skip
def test_what_the_program_tells_is_raised(
    program: Callable[[str], Home], text: str, code: str, words: str
) -> None:
    home = program(text)
    with pytest.raises(LLMOSError) as caught:
        asyncio.run(models.store(home, "list"))
    assert (caught.value.code, caught.value.message) == (code, words)


def test_the_program_ends_when_it_is_canceled(
    program: Callable[[str], Home], tmp_path: Path
) -> None:
    ended = tmp_path / "ended"
    home = program(f"""
import pathlib, signal
def end(*_):
    pathlib.Path({str(ended)!r}).write_text("by a signal")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print(json.dumps({{"stage": "download", "done": 1, "total": 2, "unit": "bytes"}}), flush=True)
time.sleep(100)
""")

    async def whole() -> None:
        begun = asyncio.Event()
        pull = asyncio.ensure_future(
            models.store(home, "pull", "--", "x", on_progress=lambda step: begun.set())
        )
        await begun.wait()
        pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull

    asyncio.run(whole())
    assert ended.read_text() == "by a signal", "or it would have ended by itself"
