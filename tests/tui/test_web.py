"""Does the screen work in a browser, and does nobody get to it who was not asked?"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from llmagentos.home import Home
from shell.cli import main
from tests.system.machines import ROOT, Machines, agent, eventually
from tests.tui import browser


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(Home(tmp_path / "h"))
    try:
        machines.start_kernel()
        machines.start_host()
        yield machines
    finally:
        machines.close()


@pytest.fixture
def address(machines: Machines) -> Iterator[str]:
    """What ``llmos web`` prints."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LLMOS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "shell", "web", "--port", str(port)],
        cwd=ROOT,
        env={**environment, "LLMOS_HOME": str(machines.home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert re.fullmatch(rf"http://127\.0\.0\.1:{port}/\?token=[\w-]{{20,}}", line)
        yield line
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


async def _status(address: str, **more: Any) -> int:
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        aiohttp.ClientSession(cookie_jar=jar) as session,
        session.get(address, **more) as answer,
    ):
        return answer.status


async def _greeting(address: str, origin: str | None) -> bytes:
    """The first of what the page's socket gets, with the cookie that the address gives."""
    jar = aiohttp.CookieJar(unsafe=True)
    base = address.partition("?")[0]
    headers = {"Origin": origin} if origin else {}
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(address) as answer:
            assert answer.status == 200
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        heard = b""
        async with session.ws_connect(f"{base}ws?width=100&height=30", headers=headers) as page:
            while b"init" not in heard:
                message = await page.receive(timeout=30)
                heard += message.data if isinstance(message.data, bytes) else b""
        return heard


def test_is_the_screen_there_for_whoever_has_the_address(address: str) -> None:
    base = address.partition("/?")[0]
    assert b"init" in asyncio.run(_greeting(address, base))


def test_is_nobody_let_in_without_the_token(address: str) -> None:
    base = address.partition("?")[0]

    async def ask() -> list[int]:
        return [
            await _status(base),
            await _status(f"{base}?token=guess"),
            await _status(f"{base}ws"),
            await _status(f"{base}static/js/textual.js"),
            await _status(address, headers={"Host": "evil.example:80"}),
        ]

    assert asyncio.run(ask()) == [403] * 5


def test_is_a_page_from_elsewhere_kept_out_even_with_the_cookie(address: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(_greeting(address, "http://evil.example"))
    assert refused.value.status == 403


def test_must_somebody_ask_for_it_to_be_seen_from_elsewhere(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMOS_HOME", str(machines.home.root))
    assert main(["web", "--host", "0.0.0.0"]) == 2
    assert "--expose" in capsys.readouterr().err


@pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium on this machine")
def test_does_a_real_browser_show_the_processes_and_does_a_key_work(
    machines: Machines, address: str, tmp_path: Path
) -> None:
    with machines.user() as user:
        pid = user.spawn(agent("sleeper", interactive=True, prompt="Sleep.")).pid

        async def look() -> bytes:
            async with browser.browsing(tmp_path / "b", address) as page:
                await page.until("sleeper")
                # Below the last row: that only brings the keys to the page.
                await page.click(600, 600)
                await page.press("G")
                await asyncio.sleep(0.5)
                await page.press("s")
                await asyncio.to_thread(
                    eventually,
                    lambda: user.call("proc.info", pid=pid)["process"]["state"] == "STOPPED",
                )
                return await page.picture()

        picture = asyncio.run(look())
    (tmp_path / "page.png").write_bytes(picture)
    assert len(picture) > 10_000, "an empty page is a small picture"
