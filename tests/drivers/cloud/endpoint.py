"""An OpenAI-compatible endpoint that behaves, or doesn't, as it is told to.

It runs in a thread of the test, or as a program of its own for measuring:
``python tests/drivers/cloud/endpoint.py '{"delay": 0.05}'`` says its address and serves until it
is ended. It records what it was asked, and who went away before the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MODEL = "there/model"
PROMPT_TOKENS = 7


@dataclass
class Behaviour:
    """What happens to a request. ``status``: refused with this; ``times``: so many times, and then
    all is well; ``well``: each such one is answered all the same. ``together``: not before so
    many have been asked in all. ``breaks``: how the answer ends instead."""

    words: list[str] = field(default_factory=lambda: ["Hello", ", ", "world", "!"])
    delay: float = 0.0
    between: float = 0.0
    together: int = 0
    status: int = 200
    times: int | None = None
    well: int = 0
    message: str = "no"
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    breaks: str = ""
    finish: str = "stop"
    usage: bool = True
    cached: int = 0
    tools: list[dict[str, Any]] = field(default_factory=list)


class MockEndpoint:
    """``url``: its base URL. Change ``behaviour`` at any time. Other APIs are subclasses."""

    chat_path = "/v1/chat/completions"

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.plans: list[Behaviour] = []
        """Of the next requests, before ``behaviour`` is that of all."""
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.gone = threading.Event()
        """Somebody went away in the middle."""
        self.asked = threading.Event()
        self.closing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MockEndpoint:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.closing.set)
        self._thread.join(30)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with serving(self) as url:
            self.url = url
            self._ready.set()
            await self.closing.wait()

    async def models(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("authorization"))
        return web.json_response({"object": "list", "data": [{"id": MODEL, "max_model_len": 4096}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        plan = self.plans.pop(0) if self.plans else self.behaviour
        self.keys.append(request.headers.get("authorization"))
        self.headers.append(dict(request.headers))
        self.requests.append(await request.json())
        self.asked.set()
        try:
            return await self._answer(request, plan)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise

    async def _answer(self, request: web.Request, plan: Behaviour) -> web.StreamResponse:
        if plan.delay:
            await asyncio.sleep(plan.delay)
        while len(self.requests) < plan.together:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        well = plan.well and len(self.requests) % plan.well == 0
        if not well and (plan.times is None or plan.times > 0):
            if plan.times is not None:
                plan.times -= 1
            if plan.status != 200:
                said = plan.message.replace("{key}", request.headers.get("authorization", ""))
                error = self.error(said, plan.code)
                return web.json_response(error, status=plan.status, headers=plan.headers)
            if plan.breaks:
                return await self._break(request, plan)
        response = web.StreamResponse(headers={"content-type": "text/event-stream", **plan.headers})
        await response.prepare(request)
        async for chunk in self.chunks(plan):
            await response.write(chunk)
        await response.write_eof()
        return response

    def error(self, said: str, code: str | None) -> dict[str, Any]:
        return {"error": {"message": said, "code": code, "type": "error"}}

    def word(self, text: str) -> bytes:
        return event({"content": text})

    def broken(self) -> dict[str, list[tuple[bytes, int]]]:
        """What is sent after the first word, and how often."""
        return {
            "garbage": [(b"data: {this is no JSON\n\n", 1)],
            "bytes": [(b"data: \xff\xfe\x00\n\n", 1)],
            "nonsense": [(line({"choices": 5}), 1)],
            "huge line": [(b"data: ", 1), (b"x" * 100_000, 100)],
            "endless events": [(b"data: x\n" * 100_000, 200)],
            "error event": [(line({"error": {"message": "out of memory"}}), 1)],
            "error at once": [(line({"error": {"message": "out of memory"}}), 1)],
            "endless words": [(self.word("more "), 1_000_000)],
        }

    async def chunks(self, plan: Behaviour) -> AsyncIterator[bytes]:
        yield event({"role": "assistant", "content": ""})
        for word in plan.words:
            if plan.between:
                await asyncio.sleep(plan.between)
            yield event({"content": word})
        for call in plan.tools:
            yield event({"tool_calls": [call]})
        usage = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": len(plan.words),
            "prompt_tokens_details": {"cached_tokens": plan.cached},
        }
        last = event({}, finish=plan.finish)
        if plan.usage:
            last += line({"choices": [], "usage": usage})
        yield last + b"data: [DONE]\n\n"

    async def _break(self, request: web.Request, plan: Behaviour) -> web.StreamResponse:
        """All the ways in which an endpoint may be broken."""
        assert request.transport is not None
        if plan.breaks == "hang":
            await self._hang()
        elif plan.breaks == "close":
            request.transport.abort()
        whole = {
            "compressed": web.Response(body=b"x", headers={"content-encoding": "gzip"}),
            "close": web.Response(),
            "html": web.Response(text="<html>Welcome!</html>", content_type="text/html"),
            "huge body": web.Response(body=b"x" * 10_000_000),
            "huge error": web.Response(status=400, body=b"x" * 10_000_000),
        }
        if plan.breaks in whole:
            return whole[plan.breaks]
        status = 400 if plan.breaks.endswith("in a refusal") else 200
        headers = {"content-type": "text/event-stream"}
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        if plan.breaks not in ("hang after headers", "error at once"):
            await response.write(self.word("Hel"))
        if plan.breaks.startswith("hang"):
            await self._hang()
        while plan.breaks.startswith("endless in"):
            await response.write(b" ")
            await asyncio.sleep(0.01)
        if plan.breaks == "drop":
            request.transport.abort()
        for chunk, times in self.broken().get(plan.breaks, []):
            for _ in range(times):
                await response.write(chunk)
                await asyncio.sleep(0)
        await response.write_eof()
        return response

    async def _hang(self) -> None:
        await self.closing.wait()
        raise ConnectionError


def line(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    return line({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


class serving:  # noqa: N801 - used like a function
    """Serves it in the running loop; its base URL."""

    def __init__(self, endpoint: MockEndpoint, port: int = 0) -> None:
        self._endpoint = endpoint
        self._port = port

    async def __aenter__(self) -> str:
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_get("/v1/models", self._endpoint.models)
        app.router.add_post(self._endpoint.chat_path, self._endpoint.chat)
        # So that a handler is cancelled when its client goes away.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        address = self._runner.addresses[0]
        return f"http://127.0.0.1:{address[1]}/v1"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


async def _main(behaviour: Behaviour) -> None:
    logging.disable()  # it would write a traceback for each answer that it breaks off
    async with serving(MockEndpoint(behaviour)) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(Behaviour(**json.loads(sys.argv[1]))))
