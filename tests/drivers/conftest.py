"""What the driver tests share: a kernel made of one socket, and a model small enough to build."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from drivers.host import Host
from drivers.link import Link
from drivers.scripted.engine import ScriptedEngine
from drivers.tool import Source, Tool
from llmagentos.abi.cards import ModelCard
from llmagentos.abi.driver import Registration
from llmagentos.abi.wire import Message, decode, encode
from llmagentos.home import Home, write_secret
from tests.drivers import small
from tests.drivers.bench import Bench

ROOT = Path(__file__).parents[2]


class FakeKernel:
    """The kernel's side of the driver protocol, as far as a test says it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.seen: list[Message] = []
        self.driver = b""
        self.open()

    def open(self) -> None:
        self._socket = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(self.home.drivers)

    def close(self) -> None:
        self._socket.close()

    def say(self, kind: str, body: dict[str, Any]) -> None:
        self.say_raw(*encode(Message(kind, body=body)))

    def say_raw(self, *frames: bytes) -> None:
        self._socket.send_multipart([self.driver, *frames])

    def hear(self, seconds: float = 30.0) -> Message:
        if not self._socket.poll(round(seconds * 1000)):
            raise TimeoutError(f"nothing heard; before: {[m.kind for m in self.seen]}")
        self.driver, *frames = self._socket.recv_multipart()
        message = decode(frames)
        self.seen.append(message)
        return message

    def hear_until(self, wanted: Callable[[Message], bool], seconds: float = 30.0) -> Message:
        end = time.monotonic() + seconds
        while not wanted(message := self.hear(max(0.0, end - time.monotonic()))):
            pass
        return message

    def hear_kind(self, kind: str, seconds: float = 30.0) -> Message:
        return self.hear_until(lambda message: message.kind == kind, seconds)

    def hear_state(self, state: str, seconds: float = 30.0) -> Message:
        """The next beat of a driver that is in this state."""
        return self.hear_until(lambda m: m.kind == "beat" and m.body["state"] == state, seconds)

    def admit(self, boot: int = 1, beat_interval: float = 0.1) -> Message:
        """Welcome the driver and wait until it is ready; its registration."""
        registration = self.hear_kind("register")
        self.say("welcome", {"boot": boot, "beat_interval": beat_interval})
        self.hear_state("ready")
        return registration

    def start(self, burst: int, text: str = "a b c", **more: Any) -> None:
        order = {
            "burst": burst,
            "attempt": 1,
            "pid": 2,
            "model": "fake-model",
            "messages": [{"role": "user", "content": text}],
            "sampling": {"max_tokens": 1000},
        }
        self.say("start", order | more)

    def call(self, job: int, tool: str, **arguments: Any) -> None:
        order = {"job": job, "key": f"key-{job}", "pid": 2, "tool": tool, "arguments": arguments}
        self.say("call", order)

    def result(self, job: int, seconds: float = 30.0) -> dict[str, Any]:
        """The result of a job that has not been heard yet."""
        return self.hear_until(
            lambda message: message.kind == "result" and message.body["job"] == job, seconds
        ).body

    def reported(self, burst: int) -> list[dict[str, Any]]:
        """All that was heard of a burst by now."""
        reports = (m.body["steps"] for m in self.seen if m.kind == "report")
        return [step for steps in reports for step in steps if step["burst"] == burst]

    def steps(self, burst: int, seconds: float = 30.0) -> list[dict[str, Any]]:
        """The step reports of a burst up to its finish."""
        steps: list[dict[str, Any]] = []
        while not steps or not steps[-1].get("finish"):
            message = self.hear_kind("report", seconds)
            steps += [step for step in message.body["steps"] if step["burst"] == burst]
        return steps


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[FakeKernel]:
    home = Home(tmp_path / "home")
    home.create()
    write_secret(home.service_key_file, "service-key")
    fake = FakeKernel(home)
    yield fake
    fake.close()


CARD = ModelCard(name="fake-model", context_length=8192)


@pytest.fixture
def run_host(kernel: FakeKernel) -> Iterator[Callable[..., SimpleNamespace]]:
    """Runs a host in a thread, with the engine of ``load``, a scripted one, ``tools`` only, or
    those of a ``source``."""
    running: list[SimpleNamespace] = []

    def run(
        load: Callable[..., Any] | None = None,
        *,
        delay: float = 0.0,
        tools: Sequence[Tool] = (),
        source: Source | None = None,
    ) -> SimpleNamespace:
        engine = ScriptedEngine(CARD, 4, delay=delay)
        if tools or source:
            registration = Registration(name="fake", kind="tool", slots=4)
            host = Host(partial(Link.at, kernel.home), registration, tools=tools, source=source)
        else:
            registration = Registration(name="fake", kind="edge", models=[CARD], slots=4)
            host = Host(
                partial(Link.at, kernel.home), registration, load or (lambda announce: engine)
            )
        result = SimpleNamespace(host=host, engine=engine, status=None)

        def live() -> None:
            result.status = host.run()

        result.thread = threading.Thread(target=live)
        result.thread.start()
        running.append(result)
        return result

    yield run
    for result in running:
        result.host.stop()
        result.thread.join(30)
        assert not result.thread.is_alive()


@pytest.fixture
def run_program(kernel: FakeKernel) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Runs ``python -m …`` as a driver of this kernel."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=os.environ | {"LLMOS_HOME": str(kernel.home.root)},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(program)
        return program

    yield run
    for program in started:
        program.kill()
        program.wait()
        program.stderr.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.jobs.drop_all("the test is over")
    bench.open(*bench.gates)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    return small.tokenizer()


@pytest.fixture(autouse=True)
def _runner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of the tiny model holds for both ways to run it."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if params.get("tiny") == "plain":
        from drivers.edge import llama

        monkeypatch.setattr(llama, "fits", lambda model: False)


@pytest.fixture(scope="session", params=["paged", "plain"])
def tiny(tiny_model: Any) -> Any:
    return tiny_model


@pytest.fixture(scope="session")
def tiny_model(tiny_tokenizer: Any) -> Any:
    return small.model(tiny_tokenizer)
