"""Does a system come up, say why it does not, and go down whatever has happened? For real."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llmagentos.home import Home
from shell import boot, image
from shell.lock import supervisor_pid
from shell.ping import listening
from shell.watch import services_of
from tests.shell.standins import lives, run_llmos, start_llmos, until


def test_does_a_screen_say_what_it_waits_for_and_ctrl_c_take_all_down(
    home: Home, manifest: str
) -> None:
    home.root.mkdir()
    late = "{name: late, kind: scripted, model: fake-model, options: {load-delay: 600}}"
    home.config.write_text(f"drivers: [{late}]")
    with start_llmos(home, "up") as foreground:
        until(lambda: listening(home))
        supervisor = supervisor_pid(home)
        ours, theirs = pty.openpty()
        with start_llmos(home, "run", manifest, "hello", stderr=theirs) as run:
            os.close(theirs)
            told = b""
            while b"waiting for late loading" not in told:
                told += os.read(ours, 4096)
            words = [sys.executable, "-m", "drivers.scripted", "--name", "early"]
            words += ["--model", "fake-model", "--no-parent"]
            with subprocess.Popen(words, env=image.environment(home)) as early:
                try:
                    assert run.communicate(timeout=60)[0] == "hello\n"
                finally:
                    early.kill()
        os.close(ours)
        assert foreground.stderr is not None
        while not foreground.stderr.readline().startswith("early ready"):
            assert foreground.poll() is None
        foreground.send_signal(signal.SIGINT)
        foreground.communicate(timeout=60)
    assert foreground.returncode == 130
    assert not boot.is_up(home)
    assert supervisor is not None
    assert not lives(supervisor)


def test_does_up_work_after_kill_9_of_everything(home: Home) -> None:
    home.root.mkdir()
    home.config.write_text("drivers: []\nhosts: 0\n")
    assert run_llmos(home, "up", "--detach").returncode == 0
    supervisor = supervisor_pid(home)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    assert Path(home.syscalls.removeprefix("ipc://")).exists()
    again = run_llmos(home, "up", "--detach")
    assert again.returncode == 0, again.stderr
    assert run_llmos(home, "down").returncode == 0
    done = run_llmos(home, "down")
    assert (done.returncode, "was not up" in done.stdout) == (0, True)


def test_does_all_end_in_order_when_up_in_the_foreground_is_killed(home: Home) -> None:
    """By a terminal that is closed, or by anything else that it can't heed."""
    home.root.mkdir()
    home.config.write_text("drivers: []\nhosts: 1\n")
    with start_llmos(home, "up") as up:
        assert up.stderr is not None
        until(lambda: "host ready" in up.stderr.readline())
        up.kill()
        up.wait(30)
    until(lambda: supervisor_pid(home) is None)
    log = (home.logs / "supervisor.log").read_text()
    assert log.count("going down") == 1
    assert "host ended: exit code 0" in log
    assert "killing it" not in log


def test_does_down_end_a_supervisor_that_hangs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.root.mkdir()
    home.config.write_text("drivers: []\n")
    assert run_llmos(home, "up", "--detach").returncode == 0
    supervisor = supervisor_pid(home)
    assert supervisor is not None
    host = until(lambda: {s["name"]: s["pid"] for s in services_of(home)}.get("host"))
    os.kill(supervisor, signal.SIGSTOP)
    monkeypatch.setattr(boot, "DOWN_WITHIN", 0.5)
    assert boot.take_down(home)
    until(lambda: not lives(supervisor) and not lives(host))
    assert not boot.is_up(home)


def test_does_up_say_why_a_kernel_can_not_start(home: Home) -> None:
    home.root.mkdir()
    home.config.write_text("drivers: []\nhosts: 0\n")
    home.database.write_bytes(b"this is no database" * 1000)
    done = run_llmos(home, "up", "--detach")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the system did not come up: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not boot.is_up(home)


def test_does_the_foreground_end_well_when_the_system_is_taken_down(home: Home) -> None:
    home.root.mkdir()
    home.config.write_text("drivers: []\nhosts: 0\n")
    with start_llmos(home, "up") as foreground:
        assert foreground.stderr is not None
        assert "is up" in foreground.stderr.readline()
        assert run_llmos(home, "down").returncode == 0
        assert foreground.wait(60) == 0
