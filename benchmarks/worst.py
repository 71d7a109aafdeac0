"""The worst that one message may say within the limits of the wire: case by case, for ``holds``.

It knows nothing about how long it takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.load import Client
from llmagentos.abi import wire

_ROOM = wire.MAX_BODY - 8192
"""Bytes that a body has for what is in one argument of it."""

MOST = wire.MAX_VALUES - 64
"""Values that it has for the same."""

MB = 1_000_000

Args = dict[str, Any]
Body = Callable[[], Args]

BOUND: Args = {
    "allow": ["*"],
    "deny": [f"tool:*{chr(97 + n % 26)}*{n}*" for n in range(128)],
    "ask": ["tool:asked"],
}
"""Rules whose globs have to look at every letter."""


def _nothing(client: Client) -> None:
    """There is nothing to be done before."""


@dataclass(frozen=True)
class Case:
    """``by``: the process that says it, which is bound by rules, "" for the user. ``before``: what
    is said first."""

    name: str
    call: str
    body: Body
    by: str = ""
    before: Callable[[Client], None] = _nothing
    buffers: Callable[[], list[bytes]] = list


def _chain(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _many(one: Any, size: int, values: int = 1) -> list[Any]:
    """As often as there is room: it takes so many bytes, and is so many values."""
    return [one] * min(_ROOM // size, MOST // values)


def _keys() -> dict[str, int]:
    return {f"{n:x}": 1 for n in range(MOST // 2)}


def _text(letters: int) -> str:
    return ("lorem ipsum dolor " * (letters // 18 + 1))[:letters]


def _messages(count: int, size: int = 1) -> list[Args]:
    return [{"role": "user", "content": "a" * size}] * count


def _manifest(**spec: Any) -> Args:
    head = {"apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "big"}}
    return {"manifest": {**head, "spec": spec}}


def _times(count: int, call: str, body: Callable[[int], Args]) -> Callable[[Client], None]:
    def say(client: Client) -> None:
        for number in range(count):
            client.send(call, body(number))
            if not (reply := client.receive())["ok"]:
                raise RuntimeError(f"{call}: {reply['error']}")

    return say


VALUES: dict[str, Callable[[], Any]] = {
    "numbers": partial(_many, 1, 1),
    "floats": partial(_many, 1.5, 9),
    "a map": _keys,
    "empty lists": partial(_many, [], 1),
    "pairs": partial(_many, {"a": 1}, 4, 3),
    "texts": partial(_many, "abcdefgh" * 7, 57),
    "quotes": partial(_many, '"' * 56, 57),
    "nested lists": partial(_many, _chain(20), 21, 21),
    "too many": lambda: [1] * (MOST + 128),
    "one text": partial(_text, _ROOM),
}


def _shapes(name: str, value: Callable[[], Any]) -> Iterator[Case]:
    """The same in every call that takes anything."""
    schema = {"grammar": {"json_schema": {"enum": None}}}

    def tool(tool: str) -> Body:
        return lambda: {"name": tool, "arguments": {"key": "k", "value": value()}}

    yield Case(f"tool.call, built in: {name}", "tool.call", tool("mem.put"))
    yield Case(f"tool.call, bound: {name}", "tool.call", tool("mem.put"), f"bound {name}")
    yield Case(f"tool.call, asked: {name}", "tool.call", tool("asked"), f"asked {name}")
    yield Case(f"tool.call, of a driver: {name}", "tool.call", tool("echo"))
    yield Case(f"mem.put: {name}", "mem.put", lambda: {"key": "k", "value": value()})
    yield Case(f"ipc.publish: {name}", "ipc.publish", lambda: {"topic": "t", "body": value()})
    yield Case(f"ipc.send: {name}", "ipc.send", lambda: {"pid": 1, "body": value()})
    yield Case(f"sys.ping: {name}", "sys.ping", lambda: {"x": value()})
    yield Case(f"proc.exit: {name}", "proc.exit", lambda: {"error": {"detail": {"x": value()}}},
               f"exit {name}")  # fmt: skip
    yield Case(f"proc.spawn: {name}", "proc.spawn",
               lambda: _manifest(sampling={**schema, "stop": value()}))  # fmt: skip
    yield Case(f"llm.generate: {name}", "llm.generate", lambda: {
        "messages": _messages(1), "tools": [{"name": "t", "parameters": {"enum": value()}}],
        "model": "none"})  # fmt: skip


def cases() -> Iterator[Case]:
    for name, value in VALUES.items():
        yield from _shapes(name, value)
    yield from _texts()
    yield from _contexts()
    yield from _manifests()
    yield from _lists()
    yield Case("fs.write, 10 MB", "fs.write", lambda: {"path": "big"},
               buffers=lambda: [os.urandom(10 * MB)])  # fmt: skip
    yield Case("fs.write, 64 MB", "fs.write", lambda: {"path": "big"},
               buffers=lambda: [os.urandom(wire.MAX_BUFFER)])  # fmt: skip
    yield Case("fs.read, 64 MB", "fs.read", lambda: {"path": "big"})
    yield Case("fs.read, a byte of 64 MB", "fs.read",
               lambda: {"path": "big", "offset": 30 * MB, "length": 1})  # fmt: skip


def _texts() -> Iterator[Case]:
    words = " ".join(f"w{n:x}" for n in range(150_000))[:MB]
    yield Case("mem.put, 1 MB of words", "mem.put", lambda: {"key": "w", "value": words})
    yield Case("mem.search after it", "mem.search", lambda: {"query": "w12"})
    yield Case("mem.search, 1000 letters", "mem.search", lambda: {"query": "ab " * 333})
    yield Case("mem.search, 100 rows of 1 MB", "mem.search",
               lambda: {"query": "lorem", "limit": 100, "space": "large"},
               before=_times(100, "mem.put", lambda n: {
                   "space": "large", "key": f"k{n}", "value": _text(MB)}))  # fmt: skip
    yield Case("mem.search, 4 of them", "mem.search",
               lambda: {"query": "lorem", "limit": 4, "space": "large"})  # fmt: skip
    yield Case("mem.search, 8 rows of numbers", "mem.search",
               lambda: {"query": "k", "limit": 4, "space": "numbers"},
               before=_times(8, "mem.put", lambda n: {
                   "space": "numbers", "key": f"k {n}", "value": [1] * 30_000}))  # fmt: skip
    yield Case("a query of 64 words", "mem.search",
               lambda: {"query": " ".join(f"w{n}" for n in range(64)), "space": "rows"},
               before=_times(2000, "mem.put", lambda n: {
                   "space": "rows", "key": f"k{n}", "value": words[:400]}))  # fmt: skip


def _contexts() -> Iterator[Case]:
    calls = [{"id": f"{n}", "name": "a", "arguments": "{}"} for n in range(128)]
    called = [{"role": "assistant", "content": "", "tool_calls": calls}] * (MOST // 900)
    who, long = "context", "long context"
    yield Case("ctx.append, 4096 messages", "ctx.append",
               lambda: {"messages": _messages(4096, 900)}, who)  # fmt: skip
    yield Case("ctx.append, calls of tools", "ctx.append", lambda: {"messages": called}, who)
    yield Case("ctx.append, odd ones", "ctx.append", lambda: {"messages": [{"x": 1}] * 4096}, who)
    yield Case("ctx.append, 16,000 before", "ctx.append", lambda: {"messages": _messages(1)}, long,
               _times(4, "ctx.append", lambda n: {"messages": _messages(4000)}))  # fmt: skip
    yield Case("ctx.read, all", "ctx.read", dict, long)
    yield Case("ctx.read, 10,000", "ctx.read", lambda: {"last": 10_000}, long)
    yield Case("ctx.checkpoint", "ctx.checkpoint", dict, long)
    yield Case("llm.generate, 16,000", "llm.generate", lambda: {"model": "none"}, long)
    yield Case("ctx.compact", "ctx.compact", lambda: {"keep": 1, "summary": "s"}, long)


def _manifests() -> Iterator[Case]:
    kinds = ("allow", "ask", "deny")
    for name, piece in (("stars", "*a" * 240), ("sets", "[a-z]" * 90)):
        globs = {kind: [f"tool:{kind}{n}{piece}" for n in range(256)] for kind in kinds}
        yield Case(f"proc.spawn, {name}", "proc.spawn",
                   partial(_manifest, capabilities=globs))  # fmt: skip
    yield Case("proc.spawn, tools", "proc.spawn", lambda: _manifest(tools=["t"] * 60_000))
    for name, source in (
        ("a list", "a: [" + "1," * 131_000 + "1]"),
        ("lines", "".join(f"a{n}:\n" for n in range(30_000))),
        ("depth", "[" * 200_000),
    ):
        yield Case(f"proc.spawn, YAML: {name}", "proc.spawn",
                   partial(dict, source=source))  # fmt: skip
    yield Case("unknown arguments", "sys.info", _keys)
    yield Case("wrong numbers", "mem.put", lambda: {"key": "k", "value": 1, "labels": [1] * MOST})
    yield Case("256 tools", "llm.generate", lambda: {
        "messages": _messages(1), "model": "none", "tools": [
            {"name": f"t{n}", "description": "d" * 10_000,
             "parameters": {"properties": {f"a{m}": {"type": "string"} for m in range(60)}}}
            for n in range(256)]})  # fmt: skip


def _lists() -> Iterator[Case]:
    news: Args = {"topic": "n", "body": [1] * 30_000}
    yield Case("ipc.recv, 100", "ipc.recv", lambda: {"limit": 100},
               before=_times(50, "ipc.send", lambda n: {
                   "pid": 1, "body": news["body"]}))  # fmt: skip
    yield Case("ipc.subscribe, 1000", "ipc.subscribe",
               lambda: {"topic": "n", "since": 0, "limit": 1000},
               before=_times(50, "ipc.publish", lambda n: news))  # fmt: skip
    yield Case("fs.list, 1000 folders", "fs.list", lambda: {"limit": 1000, "path": "many"},
               before=_times(1000, "fs.write", lambda n: {
                   "path": f"many/{n}/x", "text": ""}))  # fmt: skip
    yield Case("fs.list, recursive", "fs.list", lambda: {"limit": 1000, "recursive": True})
    yield Case("mem.list", "mem.list", lambda: {"limit": 1000, "space": "rows"})
    yield Case("proc.list", "proc.list", lambda: {"limit": 2000, "history": 10_000})
    yield Case("sys.events", "sys.events", lambda: {"since": 0, "limit": 1000})
    yield Case("tool.list", "tool.list", dict, "lists")
