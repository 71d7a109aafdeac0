"""Do signals reach a program, and does neither it nor what it has started outlive its process?"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from llmagentos.home import Home
from tests.agents.programs import end, run, script, until, written
from tests.agents.scripted_kernel import ScriptedKernel
from tests.agents.test_agent_host import is_running

LEASH = Path(__file__).parents[2] / "agents" / "leash.py"

pytestmark = pytest.mark.usefixtures("host")


def test_does_term_reach_it_and_is_it_given_the_chance_to_end_well(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    text = (
        "import signal, time\n"
        "over = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: over.append(1))\n"
        # A signal that comes just before a long sleep would be heard after it.
        "print('ready')\nwhile not over: time.sleep(0.02)\nprint('bye')\n"
    )
    run(kernel, folder, "python", script(folder, text))
    written(home, "ready")
    kernel.signal(7, "TERM")
    assert end(kernel).args == {"code": 0, "answer": "ready\nbye"}


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("INT", 130)])
def test_is_the_signal_that_ended_it_told(
    kernel: ScriptedKernel, folder: Path, home: Home, name: str, code: int
) -> None:
    run(kernel, folder, "python", "-c", "import time; print('ready'); time.sleep(60)")
    written(home, "ready")
    kernel.signal(7, name)
    ended = end(kernel).args
    assert (ended["code"], ended["error"]["code"]) == (code, "ECANCELED")


def test_is_a_signal_without_a_name_told_by_its_number(
    kernel: ScriptedKernel, folder: Path
) -> None:
    run(kernel, folder, "python", "-c", "import os; os.kill(os.getpid(), 41)")
    ended = end(kernel).args
    assert (ended["code"], ended["error"]["code"]) == (128 + 41, "EFAILED")
    assert "killed by signal 41" in ended["error"]["message"]


def test_does_a_leash_go_on_though_a_process_is_out_of_its_reach(folder: Path) -> None:
    """As one that has become another user's."""
    text = (
        "import os, runpy, socket, sys\n"
        "def refuse(*_): raise PermissionError(1, 'not permitted')\n"
        "os.killpg = refuse\n"
        "sys.argv = ['leash', 'sh', '-c', 'sleep 0.2; exit 5']\n"
        f"runpy.run_path({str(LEASH)!r}, run_name='__main__')\n"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(bytes([signal.SIGINT]))
        subprocess.run([sys.executable, "-c", text], stdin=theirs, check=True, timeout=60)
        theirs.close()
        assert ours.recv(64) == b"exited 5\n"


FAMILY = (
    "import subprocess, sys, time\n"
    "one = subprocess.Popen(['sleep', '61'])\n"
    "daemon = 'setsid sleep 62 > /dev/null 2>&1 & echo $!'\n"
    "two = subprocess.run(daemon, shell=True, capture_output=True, text=True).stdout\n"
    "print('pids', one.pid, two)\n"
    "time.sleep(60)\n"
)
"""A child in its group, and a daemon: it has left the group, and its parent has gone."""


def family(kernel: ScriptedKernel, folder: Path, home: Home) -> list[int]:
    run(kernel, folder, "python", script(folder, FAMILY))
    return [int(pid) for pid in written(home, r"pids (\d+) (\d+)\n").groups()]


def test_does_kill_end_it_and_all_that_it_has_started(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    children = family(kernel, folder, home)
    kernel.signal(7, "KILL")
    until(lambda: not any(map(is_running, children)))
    assert kernel.is_quiet(), "its process is over already"


def test_does_what_it_has_started_end_with_it(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    run(kernel, folder, "sh", "-c", "setsid sleep 61 & echo pid $!")
    assert end(kernel).args["code"] == 0
    assert not is_running(int(written(home, r"pid (\d+)")[1]))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_does_it_end_with_its_host_however_that_ends(
    kernel: ScriptedKernel,
    folder: Path,
    home: Home,
    host: subprocess.Popen[str],
    number: signal.Signals,
) -> None:
    children = family(kernel, folder, home)
    host.send_signal(number)
    until(lambda: not any(map(is_running, children)))
    host.wait(30)
    assert kernel.is_quiet(), "its process goes on, on another host"


def test_does_it_end_though_its_leash_is_killed(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    code = "import os, time; print('pids', os.getpid(), os.getppid()); time.sleep(60)"
    run(kernel, folder, "python", "-c", code)
    program, leash = map(int, written(home, r"pids (\d+) (\d+)").groups())
    os.kill(leash, signal.SIGKILL)
    ended = end(kernel).args
    assert (ended["code"], ended["error"]["code"]) == (1, "EFAILED")
    until(lambda: not is_running(program))


def test_does_it_end_with_its_host_though_it_has_stopped_its_leash(
    kernel: ScriptedKernel, folder: Path, home: Home, host: subprocess.Popen[str]
) -> None:
    code = (
        "import os, signal, time; os.kill(os.getppid(), signal.SIGSTOP);"
        "print('pids', os.getpid(), os.getppid()); time.sleep(60)"
    )
    run(kernel, folder, "python", "-c", code)
    pids = [int(pid) for pid in written(home, r"pids (\d+) (\d+)").groups()]
    host.kill()
    try:
        until(lambda: not any(map(is_running, pids)))
    finally:
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)


def test_do_stop_and_cont_hold_it(kernel: ScriptedKernel, folder: Path, home: Home) -> None:
    os.mkfifo(folder / "fifo")
    run(kernel, folder, "sh", "-c", "echo pid $$; read x < fifo; echo on")
    pid = int(written(home, r"pid (\d+)")[1])
    kernel.signal(7, "STOP")
    stat_file = Path(f"/proc/{pid}/stat")
    until(lambda: stat_file.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T")
    kernel.signal(7, "CONT")
    until(lambda: stat_file.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "S")
    (folder / "fifo").write_text("x\n", encoding="ascii")
    assert end(kernel).args["answer"].endswith("on")


def test_is_it_killed_if_it_goes_on_after_its_process_has_ended(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    children = family(kernel, folder, home)
    kernel.tell("signal", pid=7, signal="KILL", grace=0.2)
    until(lambda: not any(map(is_running, children)))
    assert kernel.is_quiet()


def test_is_the_program_of_an_old_session_ended_before_a_new_one_acts(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    children = family(kernel, folder, home)
    kernel.assign(7, "fresh", program=["sh", "-c", "echo again"])
    fresh = end(kernel)
    assert (fresh.session, fresh.args["answer"]) == ("fresh", "again")
    until(lambda: not any(map(is_running, children)))
