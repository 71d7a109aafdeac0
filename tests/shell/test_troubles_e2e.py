"""Does the shell say what is wrong with a system that is neither well nor down? For real."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from llmagentos.abi.errors import ENOSPC
from llmagentos.home import Home
from shell import boot, image
from shell.cli import main
from shell.lock import supervisor_pid
from shell.watch import services_of
from tests.shell.standins import run_llmos, start_llmos, until

HELLO = image.ROOT / "docs" / "hello_wire.py"


def _up(home: Home, hosts: int = 0, **more: int) -> None:
    home.root.mkdir(exist_ok=True)
    home.config.write_text(f"drivers: []\nhosts: {hosts}\n")
    done = run_llmos(home, "up", "--detach", **more)
    assert done.returncode == 0, done.stderr


def _pid(home: Home, name: str) -> int:
    pid: int = until(lambda: {s["name"]: s["pid"] for s in services_of(home)}.get(name))
    return pid


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(f_bavail=0, f_bfree=0, f_frsize=4096, f_files=9, f_ffree=9)
    monkeypatch.setattr(os, "statvfs", lambda path: told)


def test_is_a_hung_kernel_told_from_one_that_is_down(home: Home) -> None:
    _up(home)
    kernel = _pid(home, "kernel")
    os.kill(kernel, signal.SIGSTOP)
    try:
        # All at once: each waits for an answer as long as it has patience.
        with ExitStack() as stack:
            commands = [
                stack.enter_context(start_llmos(home, *words))
                for words in (("ps",), ("status",), ("run", "x", "hello"))
            ]
            told = [(command.communicate(timeout=100), command.returncode) for command in commands]
    finally:
        os.kill(kernel, signal.SIGCONT)
    for (out, err), status in told:
        assert (status, out) == (3, "")
        assert "is running, but does not answer\nhint: look at " in err
    assert run_llmos(home, "down").returncode == 0


def test_does_up_wait_for_a_down_that_is_in_progress(home: Home) -> None:
    _up(home, hosts=1)
    before = supervisor_pid(home)
    assert before is not None
    # It can't heed SIGTERM, so that going down takes some seconds.
    os.kill(_pid(home, "host"), signal.SIGSTOP)
    with start_llmos(home, "down") as down:
        until(lambda: boot.going_down(home))
        os.kill(before, signal.SIGSTOP)  # and until somebody has seen it
        with start_llmos(home, "up", "--detach") as again:
            assert again.stderr is not None
            told = again.stderr.readline()
            os.kill(before, signal.SIGCONT)
            out, err = again.communicate(timeout=60)
        assert down.wait(60) == 0
    assert again.returncode == 0, err
    assert "is going down" in told
    assert "already" not in out
    assert supervisor_pid(home) not in (None, before)
    assert not boot.going_down(home)
    assert run_llmos(home, "down").returncode == 0


def test_can_nobody_else_read_what_a_system_writes(home: Home) -> None:
    _up(home, hosts=1, umask=0)
    _pid(home, "host")
    ours = [path for path in home.root.rglob("*") if path != home.config]
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) & 0o077 for path in ours}
    assert {name for name, mode in modes.items() if mode} == set()
    assert {"state.db", "kernel.log", "supervisor.log", "services.json"} <= set(modes)
    assert run_llmos(home, "down").returncode == 0


def test_does_doctor_warn_of_what_others_can_read(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.create()
    home.root.chmod(0o755)
    home.database.write_text("")
    home.database.chmod(0o640)
    main(["doctor"])
    told = capsys.readouterr().out
    assert "warn  home " in told
    assert f"chmod 0700 {home.root}" in told
    assert "warn  state.db " in told
    assert f"chmod 0600 {home.database}" in told
    home.root.chmod(0o700)
    home.database.chmod(0o600)
    main(["doctor"])
    told = capsys.readouterr().out
    assert "ok    home " in told
    assert "ok    state.db " in told


def test_is_a_pipe_told_what_is_waited_for(home: Home, manifest: str) -> None:
    _up(home)
    with start_llmos(home, "run", manifest, "hello") as run:
        assert run.stderr is not None
        line = run.stderr.readline()
        run.send_signal(signal.SIGINT)
        rest = run.communicate(timeout=60)[1]
    assert "waiting: no driver is up and no agent host is up; look at llmos status" in line
    assert "waiting" not in rest
    assert run.returncode == 130
    assert run_llmos(home, "down").returncode == 0


def test_are_the_kernels_own_words_told_and_not_its_supervisors(home: Home) -> None:
    home.create()
    (home.logs / "supervisor.log").write_text(
        "2026-01-01 00:00:00 kernel ended: exit code 1\n"
        "2026-01-01 00:00:01 host ended: exit code 0\n2026-01-01 00:00:01 down, exit code 1\n"
    )
    assert boot.broken(home, "ended").message.endswith("kernel ended: exit code 1")
    (home.logs / "kernel.log").write_text("kernel: it can't (EIO)\nhint: mend it\n")
    assert boot.broken(home, "ended").message == "the system ended: kernel: it can't (EIO)"


@pytest.mark.usefixtures("full_disk")
def test_is_a_full_disk_told_of_when_nothing_could_be_written(home: Home) -> None:
    home.create()
    error = boot.broken(home, "did not come up")
    assert isinstance(error, ENOSPC)
    assert error.message == f"the system did not come up: the disk of {home.root} is full"


@pytest.mark.parametrize("key", [False, True])
def test_does_hello_wire_say_that_there_is_no_system(home: Home, key: bool) -> None:
    home.create()
    if key:
        home.user_key_file.write_text("0" * 64)
    done = subprocess.run(
        [sys.executable, str(HELLO)], input="hi", capture_output=True, text=True,
        env=image.environment(home), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert f"the system in {home.root} is not up" in done.stderr
