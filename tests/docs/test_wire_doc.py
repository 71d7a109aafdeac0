"""Whether docs/wire.md says what the code does."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from llmagentos.abi import wire
from llmagentos.abi.driver import FROM_DRIVER, FROM_KERNEL
from llmagentos.abi.errors import BY_CODE
from llmagentos.home import Home

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table of a section."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_are_the_bytes_of_the_example_those_of_the_encoder() -> None:
    pairs = re.findall(r"```json\n(.*?)```\n```hex\n(.*?)```", TEXT, re.DOTALL)
    frames = [(json.loads(shown), bytes.fromhex(dump)) for shown, dump in pairs]
    assert len(frames) == TEXT.count("```hex") >= 8
    for shown, dump in frames:
        assert wire.pack(shown) == dump, shown
    for (header, head), (body, tail) in zip(frames[::2], frames[1::2], strict=True):
        message = wire.decode([head, tail])
        assert message.body == body
        assert wire.encode(message) == [head, tail], header


def test_is_every_header_key_there() -> None:
    assert {row[0].strip("`") for row in rows("Header")} == wire._HEADER_KEYS


def test_is_every_limit_there_with_its_number() -> None:
    limits = {name: value for name, value in vars(wire).items() if name.startswith("MAX_")}
    told = {row[0].strip("`"): int(row[1].split()[0]) for row in rows("Limits")}
    assert told == limits


def test_is_every_error_there_with_its_exit_code() -> None:
    told, status = {}, 0
    for _, given, code, meaning in rows("Errors"):
        status = int(given or status)
        told[code.strip("`")] = status
        assert meaning
    assert told == {code: error.exit_status for code, error in BY_CODE.items()}


def test_is_every_message_of_the_driver_protocol_there() -> None:
    told = {(row[0], row[1].strip("`")): row[2] for row in rows("The driver protocol")}
    assert told.pop(("kernel", "who")) == "empty"
    assert told == {
        **{("driver", kind): shape.__name__ for kind, shape in FROM_DRIVER.items()},
        **{("kernel", kind): shape.__name__ for kind, shape in FROM_KERNEL.items()},
    }


def test_does_the_rule_for_the_sockets_folder_find_them() -> None:
    short, long = Path("/tmp/h"), Path("/tmp") / ("h" * 120)
    assert Home(short).syscalls == f"ipc://{short}/run/kernel.sock"
    digest = hashlib.sha256(str(long).encode()).hexdigest()[:16]
    run = f"{tempfile.gettempdir()}/llmos-{os.getuid()}-{digest}"
    assert Home(long).syscalls == f"ipc://{run}/kernel.sock"
    assert (Home(long).events, Home(long).drivers) == (
        f"ipc://{run}/events.sock",
        f"ipc://{run}/drivers.sock",
    )


def test_is_the_last_allowed_depth_the_one_that_it_names() -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for _ in range(depth - 1):
            value = {"a": value}
        return value

    header = wire.pack({"v": 1, "t": "call"})
    wire.decode([header, wire.pack(nested(wire.MAX_DEPTH))])
    with pytest.raises(wire.MalformedError):
        wire.decode([header, wire.pack(nested(wire.MAX_DEPTH + 1))])


@pytest.mark.parametrize("name", ["wire.md", "syscalls.md", "first-agent.md", "tools.md"])
def test_does_every_link_lead_somewhere(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for file, anchor in set(re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text)):
        target = ROOT / "docs" / (file or name)
        assert target.exists(), file
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{name} links to {file}#{anchor}"


class Kernel:
    """A kernel that answers each call with what the test has laid out for it."""

    def __init__(self, home: Home) -> None:
        home.create()
        home.user_key_file.write_text("the key\n", encoding="ascii")
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.bind(home.syscalls)

    def serve(self, name: str, *messages: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """Answer the call that must come next; its arguments."""
        assert self.socket.poll(30_000), f"nobody called {name}"
        route, *frames = self.socket.recv_multipart()
        call = wire.decode(frames)
        assert (call.name, call.session) == (name, "the key")
        for kind, body in messages:
            frames = wire.encode(wire.Message(kind, call.id, body=body))
            self.socket.send_multipart([route, *frames])
        return call.body


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    kernel = Kernel(Home(tmp_path))
    yield kernel
    kernel.socket.close(0)


@pytest.fixture
def hello(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, ROOT / "docs" / "hello_wire.py", "translate"],
        env={**os.environ, "LLMOS_HOME": str(tmp_path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()


def test_does_a_client_made_from_the_text_alone_run_an_agent(
    kernel: Kernel, hello: subprocess.Popen[str]
) -> None:
    assert hello.stdin is not None
    hello.stdin.write("Good morning.\n")
    hello.stdin.close()
    hello.stdin = None
    spawned = {"ok": True, "result": {"pid": 7, "name": "translate"}}
    args = kernel.serve("proc.spawn", ("reply", spawned))
    assert args == {"manifest": "translate", "text": "Good morning."}
    pieces = [
        ("stream", {"burst": 1, "offset": 0, "text": "Buenos "}),
        ("stream", {"burst": 1, "offset": 7, "text": "días."}),
    ]
    ended = {"ok": True, "result": {"code": 5, "error": {"message": "it stopped"}}}
    args = kernel.serve("proc.wait", *pieces, ("reply", ended))
    assert args == {"pid": 7, "stream": True}
    out, log = hello.communicate(timeout=60)
    assert (hello.returncode, out, log) == (5, "Buenos días.\n", "it stopped\n")


def test_does_it_show_an_error_in_one_line(kernel: Kernel, hello: subprocess.Popen[str]) -> None:
    error = {"code": "ENOENT", "message": "no manifest", "hint": "llmos ls", "detail": {}}
    assert hello.stdin is not None
    hello.stdin.close()
    hello.stdin = None
    kernel.serve("proc.spawn", ("reply", {"ok": False, "error": error}))
    out, log = hello.communicate(timeout=60)
    assert (hello.returncode, out, log) == (1, "", "no manifest (ENOENT) llmos ls\n")
