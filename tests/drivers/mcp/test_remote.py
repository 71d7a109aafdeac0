"""Are the tools of a server at a URL the same, and is a server that goes away and comes back?"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from drivers.mcp import __main__ as program
from drivers.mcp.remote import Remote, host, is_here
from drivers.tool import Job
from llmagentos.abi.errors import EBUSY, EDRIVER, EINVAL
from tests.drivers.mcp.conftest import Served, command

Serve = Callable[..., Served]


class Elsewhere:
    """A scripted server behind a port of this machine."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        words = command("--http", str(self.port))
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
def test_does_a_remote_server_serve(
    serve: Serve, elsewhere: Elsewhere, protocol: str, tmp_path: Path
) -> None:
    served = serve(dial=partial(Remote, elsewhere.url, None), protocol=protocol).ready()
    assert f"MCP {'2025-11-25' if protocol == 'legacy' else '2026-07-28'}" in served.note
    assert served.call("add", a=2)["structuredContent"] == {"result": 3}
    with pytest.raises(EINVAL, match="no city"):
        served.call("refuse")
    served.call("change")
    served.until(lambda: "s.extra" in served.tools)
    with pytest.raises(EDRIVER, match="the most is"):
        served.call("big", size=2_000_000)
    log = tmp_path / "log"
    job = Job(50, 2)
    hang = threading.Thread(target=abandoned, args=(served, log, job))
    hang.start()
    served.until(log.exists)
    assert served.call("add", a=2)["structuredContent"] == {"result": 3}
    job.aborted.set()
    hang.join(30)
    served.until(lambda: "cancelled" in log.read_text())


def abandoned(served: Served, log: Path, job: Job) -> None:
    with pytest.raises(Exception, match="aborted"):
        served.tools["s.hang"].run({"log": str(log)}, job)


def test_is_one_that_went_away_found_again(serve: Serve, elsewhere: Elsewhere) -> None:
    served = serve(dial=partial(Remote, elsewhere.url, None)).ready()
    elsewhere.kill()
    with pytest.raises((EDRIVER, EBUSY)):
        served.call("echo", text="")
    served.until(lambda: served.state != "ready")
    elsewhere.start()
    served.ready()
    assert served.call("echo", text="back")["content"][0]["text"] == "back"


def test_is_a_session_that_it_forgot_begun_anew(serve: Serve, elsewhere: Elsewhere) -> None:
    served = serve(dial=partial(Remote, elsewhere.url, None), protocol="legacy").ready()
    elsewhere.kill()
    elsewhere.start()

    def answered() -> Any:
        try:
            return served.call("echo", text="again")
        except (EBUSY, EDRIVER):
            return None

    assert served.until(answered)["content"][0]["text"] == "again"


class Endless(BaseHTTPRequestHandler):
    """Answers everything with JSON that has no end. ``token`` as it was sent."""

    token = ""

    def do_POST(self) -> None:
        type(self).token = self.headers.get("Authorization", "")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" " * 65536)
        except OSError:
            pass

    def log_message(self, *_: object) -> None: ...


def test_is_an_answer_without_an_end_broken_off(serve: Serve) -> None:
    with HTTPServer(("127.0.0.1", 0), Endless) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{web.server_address[1]}/mcp"
        served = serve(dial=partial(Remote, url, "t0ken"))
        served.until(lambda: served.said)
        served.server.stop()
        web.shutdown()
    assert "an answer of more than 16,777,216 bytes" in served.note
    assert Endless.token == "Bearer t0ken"


def test_is_an_address_checked() -> None:
    assert host("https://mcp.example.org/mcp") == "mcp.example.org"
    assert [is_here(one) for one in ("localhost", "127.0.0.9", "::1")] == [True] * 3
    assert [is_here(one) for one in ("example.org", "10.0.0.1")] == [False] * 2
    for url in ("mcp.example.org", "ftp://a/b", "http://", "http://[x"):
        with pytest.raises(EINVAL, match="no address"):
            host(url)


@pytest.mark.parametrize(
    ("words", "zone"),
    [
        (["--url", "https://mcp.example.org/mcp"], "mcp.example.org"),
        (["--url", "https://mcp.example.org/mcp", "--zone", "cellar"], "cellar"),
        (["--url", "http://localhost:1/mcp"], "device"),
        (["--stdio", "server --path 'a b'"], "device"),
    ],
)
def test_is_what_is_elsewhere_not_on_this_device(
    words: list[str], zone: str, monkeypatch: Any
) -> None:
    """``private`` goes to no driver outside the device."""
    seen: list[Any] = []
    monkeypatch.setattr(program, "run_driver", lambda options, **_: seen.append(options) or 0)
    assert program.main(words) == 0
    assert seen[0].zone == zone


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stdio", "'unclosed"], "No closing quotation"),
        (["--stdio", " "], "needs a command"),
        (["--url", "nowhere"], "no address"),
        (["--url", "http://a/", "--token-env", "NO_SUCH"], "there is no NO_SUCH"),
        (["--url", "http://a/", "--stdio", "b"], "not allowed with"),
        ([], "one of the arguments"),
    ],
)
def test_is_a_wrong_option_told_of(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_is_a_missing_extra_told_of(monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "drivers.mcp.server", None)
    with pytest.raises(SystemExit):
        program.main(["--stdio", "a"])
    assert 'pip install "llmagentos[mcp]"' in capsys.readouterr().err
