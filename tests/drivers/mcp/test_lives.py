"""Does the driver outlive whatever its server does, and say what it was?"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.mcp import child
from drivers.tool import Job
from llmagentos.abi.errors import EBUSY, EDRIVER
from tests.drivers.mcp.conftest import Served, command

Serve = Callable[..., Served]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
def test_does_it_hear_of_tools_that_change(serve: Serve, protocol: str) -> None:
    served = serve(protocol=protocol).ready()
    revision = "2025-11-25" if protocol == "legacy" else "2026-07-28"
    assert f"MCP {revision}" in served.note
    assert "s.extra" not in served.tools
    served.call("change")
    served.until(lambda: "s.extra" in served.tools)
    assert served.call("extra")["content"][0]["text"] == "extra"
    served.call("change", remove=True)
    served.until(lambda: "s.extra" not in served.tools)
    assert {state for state, _ in served.said} == {"ready"}


def test_is_a_server_that_died_in_a_call_started_again(serve: Serve, tmp_path: Path) -> None:
    served = serve().ready()
    log = tmp_path / "log"
    heard: list[Any] = []

    def hang() -> None:
        try:
            served.tools["s.hang"].run({"log": str(log)}, Job(1, 2))
        except EDRIVER as error:
            heard.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    served.until(lambda: log.exists() and log.read_text().endswith("\n"))
    first = int(log.read_text())
    os.kill(first, signal.SIGKILL)
    thread.join(30)
    assert "while it worked on s.hang: it was killed by SIGKILL" in heard[0].message
    assert "nobody knows how far it came" in heard[0].hint
    served.until(lambda: len(served.said) >= 3)
    assert [state for state, _ in served.said] == ["ready", "loading", "ready"]
    assert "killed by SIGKILL; tried again in 0.2 s" in served.said[1][1]
    assert "MCP 2026-07-28" in served.note  # what it could, it can still
    assert served.call("whoami")["structuredContent"]["pid"] != first


def test_does_a_call_in_between_wait_and_say_when_to_come_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    class Held(child.Child):
        @asynccontextmanager
        async def streams(self) -> AsyncIterator[Any]:
            while not go.is_set():  # noqa: ASYNC110 -- it is set in another thread
                await asyncio.sleep(0.01)
            async with super().streams() as streams:
                yield streams

    go.set()
    served = serve(dial=lambda: Held(command(), child.environment(()))).ready()
    go.clear()
    with pytest.raises(EDRIVER, match="it ended with exit status 7"):
        served.call("die", status=7)
    served.until(lambda: len(served.said) == 2)
    with monkeypatch.context() as patch:
        patch.setattr("drivers.mcp.server._RETURN", 0.05)
        with pytest.raises(EBUSY, match="being started"):
            served.call("echo", text="")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(served.call, "echo", text="")
        with pytest.raises(TimeoutError):
            waiting.result(0.2)
        go.set()
        assert waiting.result(30)["content"]


@pytest.mark.parametrize(
    ("words", "options", "said"),
    [
        (command("--mute"), {"patience": 0.3}, "it was not ready within 0.3 s"),
        (command("--flood"), {}, "it wrote 1,000 lines in a row that are no MCP messages"),
        ([sys.executable, "-c", "raise SystemExit(5)"], {}, "it ended with exit status 5"),
        (["/bin/sh", "-c", "exec >&-; exec sleep 60"], {}, "it closed its output"),
        (["/no/such/program"], {}, "there is no program /no/such/program"),
    ],
)
def test_is_a_server_that_never_gets_ready_told_of(
    serve: Serve, words: list[str], options: dict[str, Any], said: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("drivers.mcp.server.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("drivers.mcp.server.PATIENCE", 2)
    if words[-1] in ("--mute", "--flood") or "closed" in said:  # they don't end by themselves
        monkeypatch.setattr("drivers.mcp.child._GRACE", 0.2)
    served = serve(*words, **options)
    served.until(lambda: served.state == "failed")
    assert said in served.note
    assert not served.tools


def test_is_a_banner_only_skipped(serve: Serve) -> None:
    served = serve(*command("--banner")).ready()
    assert served.call("babble", lines=900)["content"][0]["text"] == "said"
    assert served.call("babble", lines=900)["content"][0]["text"] == "said"
    with pytest.raises(EDRIVER, match="1,000 lines in a row"):
        served.call("babble", lines=5000)
    served.until(lambda: len(served.said) == 3)


def test_is_the_log_bounded(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "driver")
    served = serve().ready()
    begun = time.monotonic()
    served.call("shout", lines=200_000)
    most = 400 + 20 * (time.monotonic() - begun)  # 200 in ten seconds
    assert 100 < caplog.text.count("x" * 80) <= most < 100_000


def test_is_a_line_without_an_end_bounded(serve: Serve, monkeypatch: Any) -> None:
    monkeypatch.setattr(child, "MOST", 1 << 16)
    monkeypatch.setattr(child, "_GRACE", 0.2)  # it does not end by itself
    words = [sys.executable, "-c", "import os\nwhile 1: os.write(1, b'x' * 65536)"]
    served = serve(*words, patience=0.5)
    served.until(lambda: served.said)
    assert "it was not ready within 0.5 s" in served.note


def test_is_its_environment_clean(serve: Serve, monkeypatch: Any) -> None:
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("WANTED", "2")
    served = serve(env=("WANTED", "MISSING")).ready()
    found = served.call("whoami")["structuredContent"]["environment"]
    assert found["WANTED"] == "2"
    assert set(found) <= {"PATH", "HOME", "LANG", "WANTED", "LC_CTYPE"}


def test_does_stopping_end_the_server_and_what_it_started(serve: Serve, monkeypatch: Any) -> None:
    monkeypatch.setattr("drivers.mcp.child._GRACE", 0.5)  # its kid has to be killed
    words = ["/bin/sh", "-c", f"sleep 600 & exec {' '.join(command())}"]
    served = serve(*words).ready()
    pid = served.call("whoami")["structuredContent"]["pid"]
    (kid,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    served.server.stop()
    assert not alive(pid)
    served.until(lambda: not alive(int(kid)))
