"""Does a client that does not read, or dies, or comes and goes by hundreds, hurt nobody else?"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from llmagentos import System
from llmagentos.abi import wire
from tests.system.machines import ROOT, Machines, eventually
from tests.system.peers import QUICKLY


def test_is_a_client_that_never_reads_held_to_a_bound(shared: Machines, healthy: System) -> None:
    before = shared.resident()
    ping = wire.encode(wire.Message("call", 1, "sys.ping"))
    with shared.raw() as deaf:
        deaf.socket.setsockopt(zmq.SNDHWM, 1000)
        sent, end = 0, time.monotonic() + 90
        while sent < 50_000 and time.monotonic() < end:
            if not deaf.socket.poll(100, zmq.POLLOUT):
                continue
            deaf.send(*ping)
            sent += 1
            if sent % 5000 == 0:
                assert healthy.call("sys.ping", within=QUICKLY)
        assert sent == 50_000
        assert healthy.generate("still here").text == "still here"
        assert shared.resident() < before + 40


def test_is_a_client_that_never_reads_held_to_a_bound_in_bytes(kernel: Machines) -> None:
    """200 MB in answers to one who doesn't listen."""
    with kernel.user() as user:
        text = "x" * 1_000_000
        user.call("ctx.append", messages=[{"role": "user", "content": text}])
        before = kernel.resident()
        with kernel.raw() as deaf:
            deaf.socket.setsockopt(zmq.RCVHWM, 1)
            for _ in range(200):
                deaf.say("ctx.read", session=user.session)
            time.sleep(0.5)
            assert user.call("sys.ping", within=QUICKLY)
            assert kernel.resident() < before + 100


_CALLER = """
import sys
from llmagentos import connect
system = connect(home=sys.argv[1])
calls = [system.generate_stream("word " * 2000, max_tokens=2000) for _ in range(int(sys.argv[2]))]
first = iter(calls[0])
next(first)
print(system.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def _caller(machines: Machines, calls: int) -> Iterator[subprocess.Popen[str]]:
    """A program that waits for so many answers, and is killed at the end of the block."""
    words = [sys.executable, "-c", _CALLER, str(machines.home.root), str(calls)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert int(program.stdout.readline())
            yield program
        finally:
            program.kill()


def test_is_the_work_of_a_client_that_died_cancelled(shared: Machines) -> None:
    with shared.user() as user:
        with _caller(shared, 1):
            assert user.call("drv.info", name="fake")["running"] == 1
        _assert_idle(user)


def test_are_1000_queued_calls_of_a_dead_client_cancelled_at_once(
    kernel: Machines, scripted: object
) -> None:
    with kernel.user() as user:
        with _caller(kernel, 1000):

            def all_there() -> bool:
                load = user.call("sys.info", within=QUICKLY)
                return bool(load["queued"] + load["running"] == 1000)

            eventually(all_there)
        assert user.call("sys.ping", within=QUICKLY)
        _assert_idle(user)
        assert user.call("sys.info")["queued"] == 0


def _assert_idle(user: System) -> None:
    """The driver has nothing to do, and does nothing."""
    eventually(lambda: user.call("drv.info", name="fake")["running"] == 0)
    before = _tokens(user, "fake")
    time.sleep(0.3)
    assert _tokens(user, "fake") == before


def _tokens(user: System, name: str) -> tuple[int, int]:
    info = user.call("drv.info", name=name)
    return info["tokens"], info["bursts"]


def test_do_500_connections_come_and_go(shared: Machines, healthy: System) -> None:
    before = shared.resident()
    for _ in range(10):
        raws = [shared.raw() for _ in range(50)]
        for raw in raws:
            raw.say("sys.ping")
        for raw in raws:
            raw.hear()
            raw.socket.close()
    files = f"/proc/{shared.kernel.pid}/fd"
    eventually(lambda: len(os.listdir(files)) < 60)  # noqa: PTH208
    assert shared.resident() < before + 20
