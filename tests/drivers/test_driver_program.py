"""Does a driver that is a program of its own end as it should, and fail as it is told to?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmagentos.abi.driver import Report

RunProgram = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_does_a_signal_end_it_cleanly(
    kernel: Any, run_program: RunProgram, number: signal.Signals
) -> None:
    program = run_program("drivers.scripted", "--model", "fake-model", "--delay", "0.01")
    kernel.admit()
    kernel.start(1, "word " * 5000)
    kernel.hear_kind("report")
    program.send_signal(number)
    last = kernel.steps(1)[-1]  # its burst is handed back
    assert last["error"]["code"] == "EDRIVER"
    kernel.hear_state("draining")
    assert program.wait(30) == 0
    _, log = program.communicate()
    assert "Traceback" not in log


STUBBORN = """
import ctypes, sys, time
from drivers.ending import leave
from drivers.options import common_options, run_driver

@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def busy(place):
    announce("busy")
    while True:
        time.sleep(0)

def load(say):
    global announce
    announce = say
    # No exception may leave it, and the end of a thread is as good as one.
    ctypes.CDLL("libstdc++.so.6").__cxa_vec_cleanup(ctypes.create_string_buffer(8), 1, 1, busy)

options = common_options("stubborn", "", name="stubborn", slots=1).parse_args(["--model", "m"])
leave(run_driver(options, kind="edge", load=load))
"""
"""A driver that loads in the middle of C++, for ever."""


def test_does_a_signal_end_it_cleanly_while_a_library_loads(kernel: Any) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"LLMOS_HOME": str(kernel.home.root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        kernel.hear_kind("register")
        kernel.say("welcome", {"boot": 1, "beat_interval": 0.1})
        kernel.hear_until(lambda m: m.kind == "beat" and m.body["note"] == "busy")
        program.send_signal(signal.SIGTERM)
        kernel.hear_state("draining")
        _, log = program.communicate(timeout=30)
        assert (program.returncode, "terminate called" in log) == (0, False), log
    finally:
        program.kill()
        program.communicate()


def test_does_it_end_with_its_parent(kernel: Any) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'drivers.scripted', '--model', 'm'],"
        " stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={"LLMOS_HOME": str(kernel.home.root), "PATH": ""},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        kernel.admit()
        parent.kill()
        parent.wait()
        kernel.hear_state("draining")
        end = time.monotonic() + 30
        while Path(f"/proc/{child}").exists() and time.monotonic() < end:
            # a zombie is as gone as can be: nobody here may reap it
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.05)
        else:
            assert not Path(f"/proc/{child}").exists()
    finally:
        parent.kill()
        parent.communicate()


def test_does_the_scripted_engine_misbehave_on_demand(kernel: Any, run_program: RunProgram) -> None:
    dying = run_program("drivers.scripted", "--model", "fake-model", "--die-after", "3")
    kernel.admit()
    kernel.start(1, "a b c d e f")
    assert dying.wait(30) == -signal.SIGKILL
    run_program("drivers.scripted", "--model", "fake-model", "--garbage")
    kernel.hear_kind("register")
    kernel.hear_state("ready")
    kernel.start(1, "a b")
    step = kernel.hear_kind("report").body["steps"][0]
    with pytest.raises(ValueError, match="validation error"):
        Report.model_validate({"steps": [step]})


def test_does_a_hanging_engine_stop_beating(kernel: Any, run_program: RunProgram) -> None:
    run_program("drivers.scripted", "--model", "fake-model", "--hang-after", "2")
    kernel.admit()
    kernel.start(1, "a b c d e f")
    kernel.hear_kind("report")
    with pytest.raises(TimeoutError):  # noqa: PT012
        for _ in range(300):  # beats, if it did not hang
            kernel.hear(1.0)
    assert len(kernel.reported(1)) < 3
