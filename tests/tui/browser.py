"""A headless Chromium, as far as a test needs one: a page, its keys, its picture, its sockets.

By the DevTools protocol. It knows nothing about what the page is.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")


class Page:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.heard = b""
        """What came over the page's own sockets."""
        self.logged: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=30)
            if message.get("id") == number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.webSocketFrameReceived":
            frame = message["params"]["response"]
            raw = frame["payloadData"]
            self.heard += base64.b64decode(raw) if frame["opcode"] == 2 else raw.encode()
        elif message.get("method") == "Log.entryAdded":
            self.logged.append(message["params"]["entry"]["text"])

    async def until(self, text: str, seconds: float = 30.0) -> None:
        """Until its sockets got this."""
        end = asyncio.get_running_loop().time() + seconds
        while text.encode() not in self.heard:
            assert asyncio.get_running_loop().time() < end, self.heard[-2000:]
            await self.call("Runtime.evaluate", expression="1")
            await asyncio.sleep(0.1)

    async def press(self, key: str) -> None:
        """A letter."""
        code = {"code": f"Key{key.upper()}", "windowsVirtualKeyCode": ord(key.upper())}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key, **code)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    async def click(self, x: int, y: int) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )

    async def picture(self) -> bytes:
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browsing(folder: Path, address: str) -> AsyncIterator[Page]:
    """A page of its own browser, on this address."""
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        *[
            PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
            f"--user-data-dir={folder}", "--window-size=1200,800", "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:
            port = await asyncio.to_thread(_port, folder / "DevToolsActivePort")
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                targets = json.loads(await answer.text())
            target = next(one for one in targets if one["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Network", "Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                await page.call("Page.navigate", url=address)
                yield page
    finally:
        process.kill()
        await process.wait()


def _port(file: Path) -> str:
    for _ in range(600):
        if file.exists() and (lines := file.read_text(encoding="ascii").splitlines()):
            return lines[0]
        time.sleep(0.1)
    raise AssertionError("the browser did not come up")
