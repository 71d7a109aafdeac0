"""How long one message may hold the kernel, and with it everybody else.

    python benchmarks/holds.py [--only WORD] [--json]

Starts a kernel of its own in a temporary home. One client says the worst that the limits of the
wire allow, another one pings all the while: its slowest ping is what everybody would have waited,
``kernel`` the CPU time that the kernel took for it. Both over the raw wire.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import zmq
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.load import Client
from llmagentos import connect
from llmagentos.abi import wire
from llmagentos.home import Home
from llmagentos.testing.tools import Functions

_ROOM = wire.MAX_BODY - 8192
"""Bytes that a body has for what is in one argument of it."""

_MOST = wire.MAX_VALUES - 64
"""Values that a body has for the same."""

_HEAVY = [f"tool:*{chr(97 + n % 26)}*{n}*" for n in range(128)]
"""Globs that have to look at every letter."""


@dataclass(frozen=True)
class Case:
    """``body``: packed already where that matters. ``asks``: whether the caller is a process that
    is bound by rules, rather than the user. ``buffers``: beside the body."""

    name: str
    call: str
    body: Callable[[], dict[str, Any] | bytes]
    bound: bool = False
    buffers: Callable[[], list[bytes]] = list
    before: Callable[[Client], None] = lambda client: None


def _chain(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _many(one: Any, size: int, values: int = 1) -> list[Any]:
    """As often as the limits allow: it takes so many bytes, and is so many values."""
    return [one] * min(_ROOM // size, _MOST // values)


def _map() -> dict[str, int]:
    return {f"{n:x}": n & 127 for n in range(_MOST // 2)}


def _text(letters: int = _ROOM) -> str:
    return ("lorem ipsum dolor " * (letters // 18 + 1))[:letters]


def _messages(count: int, size: int = 1) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "a" * size}] * count


def _schema() -> dict[str, Any]:
    return {"type": "object", "enum": ["a"] * _MOST}


def _deep_schema() -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(10):
        inner = {"anyOf": [inner]}
    return inner


def _times(
    count: int, name: str, body: Callable[[int], dict[str, Any]]
) -> Callable[[Client], None]:
    def said(client: Client) -> None:
        for number in range(count):
            client.send(name, body(number))
            reply = client.receive()
            if not reply["ok"]:
                raise RuntimeError(str(reply["error"]))

    return said


def _waiting(count: int) -> Callable[[Client], None]:
    """So many calls that wait for a publication."""

    def said(client: Client) -> None:
        for _ in range(count):
            client.send("ipc.subscribe", {"topic": "waited"})

    return said


def _manifest(**spec: Any) -> dict[str, Any]:
    head = {"apiVersion": "llmagentos/v1", "kind": "Agent", "metadata": {"name": "big"}}
    return {"manifest": {**head, "spec": spec}}


_VALUES: dict[str, Callable[[], Any]] = {
    "small numbers": lambda: _many(1, 1),
    "floats": lambda: _many(1.5, 9),
    "big numbers": lambda: _many(2**52, 9),
    "a map": _map,
    "empty lists": lambda: _many([], 1),
    "pairs": lambda: _many({"a": 1}, 4, 3),
    "short texts": lambda: _many("ab", 3),
    "longer texts": lambda: _many("abcdefgh" * 7, 57),
    "quotes": lambda: _many('"' * 56, 57),
    "nested lists": lambda: _many(_chain(20), 21, 21),
    "too many": lambda: [1] * (_MOST + 128),
}


def cases() -> Iterator[Case]:
    for name, value in _VALUES.items():
        for bound in (False, True):
            who = "bound: " if bound else ""
            arguments = lambda value=value: {
                "name": "mem.put",
                "arguments": {"key": "k", "value": value()},
            }  # noqa: E731,E501
            yield Case(f"{who}tool.call, {name}", "tool.call", arguments, bound)
        yield Case(
            f"mem.put, {name}", "mem.put", lambda value=value: {"key": "k", "value": value()}
        )
        yield Case(
            f"ipc.publish, {name}",
            "ipc.publish",
            lambda value=value: {"topic": "t", "body": value()},
        )
        yield Case(f"ipc.send, {name}", "ipc.send", lambda value=value: {"pid": 1, "body": value()})
        yield Case(f"sys.ping, {name}", "sys.ping", lambda value=value: {"x": value()})
        yield Case(
            f"proc.exit, {name}",
            "proc.exit",
            lambda value=value: {"error": {"detail": {"x": value()}}},
            bound=True,
        )
        yield Case(
            f"proc.spawn, {name}",
            "proc.spawn",
            lambda value=value: _manifest(sampling={"grammar": {"json_schema": {"enum": value()}}}),
        )
        yield Case(
            f"proc.spawn anywhere, {name}",
            "proc.spawn",
            lambda value=value: {"manifest": {"x": value()}},
        )
        yield Case(
            f"llm.generate schema, {name}",
            "llm.generate",
            lambda value=value: {
                "messages": _messages(1),
                "tools": [{"name": "t", "parameters": {"enum": value()}}],
            },
        )
    yield Case(
        "tool.call, a text",
        "tool.call",
        lambda: {"name": "mem.put", "arguments": {"key": "k", "value": _text()}},
    )
    yield Case(
        "bound: tool.call, a text",
        "tool.call",
        lambda: {"name": "mem.put", "arguments": {"key": "k", "value": _text()}},
        True,
    )
    yield Case(
        "bound: tool.call, many texts",
        "tool.call",
        lambda: {"name": "nil", "arguments": {f"{n}": "a" * 4 for n in range(_MOST // 2)}},
        True,
    )
    yield Case(
        "bound: tool.call fs.write, a text",
        "tool.call",
        lambda: {"name": "fs.write", "arguments": {"path": "x", "text": _text(1024 * 1024)}},
        True,
    )
    yield Case(
        "mem.put, a text of 1 MB", "mem.put", lambda: {"key": "t", "value": _text(1024 * 1024 - 2)}
    )
    yield Case(
        "mem.put, different words, 1 MB",
        "mem.put",
        lambda: {
            "key": "w",
            "value": " ".join(f"w{n:x}" for n in range(150_000))[: 1024 * 1024 - 2],
        },
    )
    yield Case("mem.search after it", "mem.search", lambda: {"query": "lorem w12"})
    yield Case("mem.search after it, again", "mem.search", lambda: {"query": "lorem w12"})
    yield Case(
        "mem.put, one word, 1 MB", "mem.put", lambda: {"key": "o", "value": "a" * (1024 * 1024 - 2)}
    )
    yield Case("mem.search after that", "mem.search", lambda: {"query": "lorem"})
    yield Case("mem.search, 4 MB query", "mem.search", lambda: {"query": _text()})
    yield Case(
        "mem.search, 1000 letters",
        "mem.search",
        lambda: {"query": " ".join(chr(97 + n % 26) for n in range(500))},
    )
    yield Case("mem.search, marks", "mem.search", lambda: {"query": "\u0301" * 1000})
    yield Case(
        "mem.put, 32 labels of 4 MB",
        "mem.put",
        lambda: {"key": "k", "value": 1, "labels": [f"l{n}" for n in range(_MOST)]},
    )
    yield Case(
        "ctx.append, 4096 messages", "ctx.append", lambda: {"messages": _messages(4096)}, True
    )
    yield Case(
        "ctx.append, 4096 messages of 900 bytes",
        "ctx.append",
        lambda: {"messages": _messages(4096, 900)},
        True,
    )
    yield Case(
        "ctx.append, too many messages",
        "ctx.append",
        lambda: {"messages": _messages(_MOST // 5)},
        True,
    )
    yield Case(
        "ctx.append, 4 texts of 1 MB",
        "ctx.append",
        lambda: {"messages": _messages(3, 1024 * 1024)},
        True,
    )
    yield Case(
        "ctx.append, tool calls",
        "ctx.append",
        lambda: {
            "messages": [
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"id": f"{n}", "name": "a", "arguments": "{}"} for n in range(128)
                    ],
                }
            ]
            * (_MOST // 900)
        },
        True,
    )
    yield Case("ctx.read of all that", "ctx.read", dict, True)
    yield Case("ctx.compact of all that", "ctx.compact", lambda: {"keep": 1, "summary": "s"}, True)
    yield Case(
        "ctx.append, wrong everywhere", "ctx.append", lambda: {"messages": [{"x": 1}] * 4096}, True
    )
    yield Case(
        "ctx.append, wrong 60,000 times",
        "ctx.append",
        lambda: {"messages": [{"role": "u", "tool_calls": [1] * 1000}] * 60},
        True,
    )
    yield Case(
        "mem.put, wrong labels", "mem.put", lambda: {"key": "k", "value": 1, "labels": _many(1, 1)}
    )
    yield Case("llm.embed, wrong texts", "llm.embed", lambda: {"texts": _many(1, 1)})
    yield Case("proc.list, many pids", "proc.list", lambda: {"pids": [7] * _MOST})
    yield Case("unknown arguments", "sys.ping", lambda: {f"{n:x}": 1 for n in range(_MOST // 2)})
    yield Case(
        "bound: unknown arguments",
        "mem.get",
        lambda: {f"{n:x}": 1 for n in range(_MOST // 2)},
        True,
    )
    yield Case(
        "an unknown tool, arguments for a built-in one",
        "tool.call",
        lambda: {"name": "mem.put", "arguments": {f"{n:x}": 1 for n in range(_MOST // 2)}},
        True,
    )
    yield Case("llm.generate, 4096 messages", "llm.generate", lambda: {"messages": _messages(4096)})
    yield Case(
        "llm.generate, too many messages",
        "llm.generate",
        lambda: {"messages": _messages(_MOST // 5)},
    )
    yield Case(
        "llm.generate, 256 tools",
        "llm.generate",
        lambda: {
            "messages": _messages(1),
            "tools": [
                {
                    "name": f"t{n}",
                    "description": "d" * 10_000,
                    "parameters": {
                        "type": "object",
                        "properties": {f"a{m}": {"type": "string"} for m in range(70)},
                    },
                }
                for n in range(256)
            ],
        },
    )
    yield Case(
        "llm.generate, too many tools",
        "llm.generate",
        lambda: {"messages": _messages(1), "tools": [{"name": "t"}] * (_MOST // 3)},
    )
    yield Case(
        "llm.generate, a deep schema",
        "llm.generate",
        lambda: {
            "messages": _messages(1),
            "sampling": {"grammar": {"json_schema": _deep_schema()}},
        },
    )
    yield Case("proc.spawn, too many tools", "proc.spawn", lambda: _manifest(tools=["t"] * 60_000))
    yield Case(
        "proc.spawn, 60,000 capabilities",
        "proc.spawn",
        lambda: _manifest(capabilities={"allow": ["tool:x"] * 60_000}),
    )
    yield Case(
        "proc.spawn, 768 globs",
        "proc.spawn",
        lambda: _manifest(
            capabilities={
                kind: [f"tool:{kind}{n}" + "*a" * 240 for n in range(256)]
                for kind in ("allow", "ask", "deny")
            },
            tools=[f"t{n}" for n in range(256)],
        ),
    )
    yield Case(
        "proc.spawn, 768 sets",
        "proc.spawn",
        lambda: _manifest(
            capabilities={
                kind: [f"tool:{n}{kind}" + "[a-z]" * 90 for n in range(256)]
                for kind in ("allow", "ask", "deny")
            },
            tools=[f"t{n}" for n in range(256)],
        ),
    )
    yield Case(
        "proc.spawn, YAML, a list", "proc.spawn", lambda: {"source": "a: [" + "1," * 131_000 + "1]"}
    )
    yield Case(
        "proc.spawn, YAML, lines",
        "proc.spawn",
        lambda: {"source": "".join(f"a{n}:\n" for n in range(30_000))},
    )
    yield Case(
        "proc.spawn, YAML, aliases",
        "proc.spawn",
        lambda: {
            "source": "a: &a [1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n"
                for n in range(12)
            )
        },
    )
    yield Case("proc.spawn, YAML, flow", "proc.spawn", lambda: {"source": "[" * 200_000})
    yield Case(
        "proc.spawn, YAML, a text",
        "proc.spawn",
        lambda: {
            "source": "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {name: t}\nspec:\n  prompt: |\n"
            + "    lorem ipsum dolor sit amet\n" * 8000
        },
    )
    yield Case(
        "proc.adopt, 768 globs",
        "proc.adopt",
        lambda: {
            "capabilities": {
                kind: [f"tool:{kind}{n}" + "*a" * 240 for n in range(256)]
                for kind in ("allow", "ask", "deny")
            }
        },
    )
    yield Case("cap.grant, 60,000", "cap.grant", lambda: {"pid": 2, "allow": ["tool:x"] * 60_000})
    yield Case(
        "bound: tool.call, 20,000 letters against globs",
        "tool.call",
        lambda: {"name": "nil", "arguments": {"a": "a" * 19_000}},
        True,
    )
    yield Case(
        "bound: tool.call, 500,000 letters against globs",
        "tool.call",
        lambda: {"name": "nil", "arguments": {"a": "a" * 250_000}},
        True,
    )
    yield Case(
        "fs.write, 10 MB",
        "fs.write",
        lambda: {"path": "big"},
        buffers=lambda: [os.urandom(10_000_000)],
    )
    yield Case(
        "fs.write, 64 MB",
        "fs.write",
        lambda: {"path": "big"},
        buffers=lambda: [os.urandom(wire.MAX_BUFFER)],
    )
    yield Case("fs.read, 64 MB", "fs.read", lambda: {"path": "big"})
    yield Case(
        "fs.read, 1 byte of 64 MB",
        "fs.read",
        lambda: {"path": "big", "offset": 30_000_000, "length": 1},
    )
    yield Case("sys.events", "sys.events", lambda: {"limit": 1000})
    yield Case("sys.audit", "sys.audit", lambda: {"limit": 1000})
    small, text = [1] * 30_000, _text(200_000)
    yield Case(
        "mem.search, 100 rows of 1 MB",
        "mem.search",
        lambda: {"query": "lorem", "limit": 100, "space": "large"},
        before=_times(
            100, "mem.put", lambda n: {"space": "large", "key": f"k{n}", "value": _text(1_000_000)}
        ),
    )
    yield Case(
        "mem.search, 4 rows of 1 MB",
        "mem.search",
        lambda: {"query": "lorem", "limit": 4, "space": "large"},
    )
    yield Case(
        "mem.search, 100 rows of numbers",
        "mem.search",
        lambda: {"query": "k", "limit": 100, "space": "numbers"},
        before=_times(
            100, "mem.put", lambda n: {"space": "numbers", "key": f"k {n}", "value": small}
        ),
    )
    yield Case(
        "mem.search, 8 rows of numbers",
        "mem.search",
        lambda: {"query": "k", "limit": 8, "space": "numbers"},
    )
    yield Case(
        "mem.search, 3000 rows",
        "mem.search",
        lambda: {"query": "k", "limit": 100, "space": "rows"},
        before=_times(3000, "mem.put", lambda n: {"space": "rows", "key": f"k {n}", "value": "v"}),
    )
    yield Case("mem.list, 1000 rows", "mem.list", lambda: {"limit": 1000, "space": "rows"})
    yield Case(
        "ipc.recv, 100 of numbers",
        "ipc.recv",
        lambda: {"limit": 100},
        True,
        before=lambda client: _times(
            20,
            "ipc.send",
            lambda n: {"pid": client.call("proc.info")["process"]["pid"], "body": small},
        )(client),
    )
    yield Case(
        "ipc.subscribe, 1000 of numbers",
        "ipc.subscribe",
        lambda: {"topic": "n", "since": 0, "limit": 1000},
        before=_times(100, "ipc.publish", lambda n: {"topic": "n", "body": small}),
    )
    yield Case(
        "ipc.publish to 1000 who wait",
        "ipc.publish",
        lambda: {"topic": "waited", "body": text},
        True,
        before=lambda client: None,
    )
    yield Case(
        "fs.list, 1000 files",
        "fs.list",
        lambda: {"limit": 1000},
        before=_times(1000, "fs.write", lambda n: {"path": f"many/{n}/x", "text": ""}),
    )
    yield Case("fs.list, 1000 folders", "fs.list", lambda: {"limit": 1000, "path": "many"})
    yield Case("fs.list, recursive", "fs.list", lambda: {"limit": 1000, "recursive": True})
    yield Case(
        "fs.history, 1000 versions",
        "fs.history",
        lambda: {"path": "versions", "limit": 1000},
        before=_times(1000, "fs.write", lambda n: {"path": "versions", "text": "v"}),
    )
    yield Case(
        "ctx.append after 80,000 messages",
        "ctx.append",
        lambda: {"messages": _messages(1)},
        True,
        before=_times(20, "ctx.append", lambda n: {"messages": _messages(4000)}),
    )
    yield Case("ctx.read, 80,000 messages", "ctx.read", dict, True)
    yield Case("ctx.read, the last 20,000", "ctx.read", lambda: {"last": 20_000}, True)
    yield Case("ctx.checkpoint, 80,000 messages", "ctx.checkpoint", dict, True)
    yield Case("ctx generate with 80,000 messages", "llm.generate", dict, True)
    yield Case(
        "ctx.compact, 80,000 messages", "ctx.compact", lambda: {"keep": 1, "summary": "s"}, True
    )
    yield Case("ctx.compact, undone", "ctx.rewind", lambda: {"message": 0}, True)
    yield Case(
        "proc.spawn, 300 agents, then a list",
        "proc.list",
        lambda: {"limit": 2000, "history": 10_000},
        before=_times(300, "proc.spawn", lambda n: _manifest(prompt="a")),
    )
    yield Case("proc.kill of 300", "proc.kill", lambda: {"pid": 2, "tree": True}, bound=True)
    yield Case("sys.metrics", "sys.metrics", dict)
    yield Case("sys.events, all", "sys.events", lambda: {"since": 0, "limit": 1000})
    yield Case("tool.list", "tool.list", dict, True)
    for name, value in _VALUES.items():
        yield Case(
            f"asked: tool.call, {name}",
            "tool.call",
            lambda value=value: {"name": "nil", "arguments": {"key": "k", "value": value()}},
            True,
        )
        yield Case(
            f"driver: tool.call, {name}",
            "tool.call",
            lambda value=value: {"name": "echo", "arguments": {"value": value()}},
        )
    yield Case(
        "driver: tool.call, a text",
        "tool.call",
        lambda: {"name": "echo", "arguments": {"value": _text()}},
    )
    yield Case(
        "driver: tool.call, too much comes back",
        "tool.call",
        lambda: {"name": "much", "arguments": {}},
    )
    yield Case("an unknown call, a long name", "x" * 3000, dict)
    yield Case("4 MB text for sys.ping", "sys.ping", lambda: {"x": _text()})
    yield Case("a body of one bin", "mem.put", lambda: {"key": "k", "value": b"x" * _ROOM})


def _ping(address: str, worst: Synchronized[float], stop: Any) -> None:
    client = Client(address, "")
    while not stop.is_set():
        start = time.perf_counter()
        client.send("sys.ping", {})
        client.socket.recv_multipart()
        worst.value = max(worst.value, time.perf_counter() - start)
        time.sleep(0.005)


@contextmanager
def _pinging(address: str) -> Iterator[Synchronized[float]]:
    """The slowest ping so far, in seconds; set it to 0 to begin anew."""
    context = multiprocessing.get_context("spawn")
    worst, stop = context.Value("d", 0.0), context.Event()
    pinger = context.Process(target=_ping, args=(address, worst, stop), daemon=True)
    pinger.start()
    while not worst.value:
        time.sleep(0.01)
    try:
        yield worst
    finally:
        stop.set()
        pinger.join()


@contextmanager
def _kernel(home: Home) -> Iterator[int]:
    """Its OS pid."""
    environment = {**os.environ, "LLMOS_HOME": str(home.root)}
    command = [sys.executable, "-m", "kernel", "--log-level", "WARNING"]
    kernel = subprocess.Popen(command, env=environment)
    try:
        while not Path(home.syscalls.removeprefix("ipc://")).exists():
            time.sleep(0.02)
        yield kernel.pid
    finally:
        kernel.terminate()
        kernel.wait(30)


def _cpu(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _rules() -> dict[str, Any]:
    return {"allow": ["*"], "deny": _HEAVY, "ask": ["tool:nil"]}


def measure(home: Home, only: str) -> Iterator[dict[str, Any]]:
    with _kernel(home) as pid, _pinging(home.syscalls) as worst:
        with connect(home=str(home.root), user=True):
            key = home.user_key_file.read_text().strip()
        user = Client(home.syscalls, key)
        tools = Functions(home, {"echo": lambda value: value, "much": lambda: [1] * 500_000})
        tools.start()
        for number, case in enumerate(cases()):
            if only not in case.name:
                continue
            client = user
            if case.bound:
                name = "bound" if "ctx" in case.call else f"bound{number}"
                user.send("proc.adopt", {"name": name, "capabilities": _rules()})
                client = Client(home.syscalls, user.receive()["result"]["session"])
            case.before(client)
            body = case.body()
            frames = wire.encode(wire.Message("call", 1000 + number, case.call, client.session, {}))
            frames[1] = body if isinstance(body, bytes) else wire.pack(body)
            frames += case.buffers()
            time.sleep(0.1)
            worst.value, before = 0.0, _cpu(pid)
            start = time.perf_counter()
            client.socket.send_multipart(frames)
            says = "no reply"
            if client.socket.poll(3000):
                reply = wire.decode(client.socket.recv_multipart())
                says = (
                    "ok"
                    if reply.body["ok"]
                    else reply.body["error"]["code"] + " " + reply.body["error"]["message"][:60]
                )
            took = time.perf_counter() - start
            time.sleep(0.3)
            yield {
                "case": case.name,
                "bytes": sum(map(len, frames)),
                "worst ping ms": round(worst.value * 1000, 1),
                "kernel ms": round((_cpu(pid) - before) * 1000, 1),
                "reply ms": round(took * 1000, 1),
                "says": says,
            }
            if says == "no reply":
                user.send("llm.cancel", {})
                while user.socket.poll(300):
                    user.socket.recv_multipart()
            if client is not user:
                client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="cases with this in their name")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmos-bench-") as folder:
        rows = []
        for row in measure(Home(Path(folder)), chosen.only):
            rows.append(row)
            print(row, file=sys.stderr)
    print(json.dumps(rows) if chosen.json else tabulate(rows, headers="keys"))


if __name__ == "__main__":
    main()
