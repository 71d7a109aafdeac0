"""How a host runs the program of a manifest: where, with what, and how its end is its process's."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llmagentos.home import Home
from tests.agents.scripted_kernel import Call, ScriptedKernel
from tests.agents.test_agent_host import is_running

LEASH = Path(__file__).parents[2] / "agents" / "leash.py"

pytestmark = pytest.mark.usefixtures("host")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def run(kernel: ScriptedKernel, folder: Path, *program: str, pid: int = 7) -> None:
    kernel.assign(pid, program=list(program), workdir=str(folder))


def end(kernel: ScriptedKernel) -> Call:
    call = kernel.call("proc.exit")
    kernel.answer(call)
    return call


def script(folder: Path, text: str) -> str:
    (folder / "it.py").write_text(text, encoding="utf-8")
    return "it.py"


def until(fact: Any, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def written(home: Home, pattern: str, pid: int = 7) -> re.Match[str]:
    """When the program has written this."""
    log = home.program_log(pid)
    return until(lambda: log.exists() and re.search(pattern, log.read_text(encoding="utf-8")))


def test_is_what_it_prints_its_answer_and_both_streams_its_log(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    run(kernel, folder, "sh", "-c", "echo one; echo two >&2; echo; echo ' three '")
    ended = end(kernel)
    assert ended.session == "session-7"
    assert ended.args == {"code": 0, "answer": "one\n\n three"}
    log = home.program_log(7).read_text(encoding="utf-8")
    assert {"one", "two", " three "} <= set(log.splitlines())
    assert stat.S_IMODE(home.logs.stat().st_mode) == 0o700


def test_has_it_a_session_and_no_secret_of_others(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    text = "import os, json; print(json.dumps([dict(os.environ), os.getcwd(), os.getsid(0)]))"
    name = script(folder, text + "\nassert os.getsid(0) == os.getpid(); assert not os.read(0, 1)")
    run(kernel, folder, "python", name)
    variables, where, _ = json.loads(end(kernel).args["answer"])
    assert variables.pop("PATH") == os.environ["PATH"]
    given = {"LLMOS_HOME": str(home.root), "LLMOS_SESSION": "session-7", "LLMOS_PID": "7"}
    assert given.items() <= variables.items()
    allowed = {
        "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
        "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "PYTHONUNBUFFERED",
    }  # fmt: skip
    assert variables.keys() <= allowed | given.keys()
    assert where == str(folder)


@pytest.mark.parametrize(
    ("code", "status"), [("import sys; sys.exit(3)", 3), ("raise ValueError('odd')", 1)]
)
def test_is_its_exit_status_that_of_its_process(
    kernel: ScriptedKernel, folder: Path, code: str, status: int
) -> None:
    run(kernel, folder, "python", "-c", f"print('half'); {code}")
    ended = end(kernel).args
    assert (ended["code"], ended["answer"], ended["error"]["code"]) == (status, "half", "EFAILED")
    assert f"exit status {status}" in ended["error"]["message"]
    assert ("ValueError: odd" in ended["error"]["message"]) == (status == 1)


@pytest.mark.parametrize(
    ("program", "code", "says"),
    [
        ("no-such-program", "ENOENT", "no program no-such-program on the path"),
        ("./missing", "ENOENT", "work/missing"),
        ("./plain", "EINVAL", "is not executable"),
        ("./odd", "EINVAL", "Exec format error"),
        ("./sub", "ENOENT", "no program"),
    ],
)
def test_is_what_can_t_be_run_told_so(
    kernel: ScriptedKernel, folder: Path, program: str, code: str, says: str
) -> None:
    (folder / "sub").mkdir()
    (folder / "plain").write_text("echo", encoding="utf-8")
    (folder / "odd").write_bytes(b"\1\2\3")
    (folder / "odd").chmod(0o755)
    run(kernel, folder, program)
    ended = end(kernel).args
    assert (ended["code"], ended["error"]["code"]) == (2, code)
    assert says in ended["error"]["message"]


def test_is_a_folder_that_is_not_there_told_so(kernel: ScriptedKernel, folder: Path) -> None:
    run(kernel, folder / "gone", "sh")
    error = end(kernel).args["error"]
    assert (error["code"], "there is no folder" in error["message"]) == ("ENOENT", True)


def test_is_an_answer_bounded_and_is_that_said(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    run(kernel, folder, "python", "-c", "print('x' * 5_000_000); print('end')")
    answer = end(kernel).args["answer"]
    assert len(answer) < 70_000
    assert answer.startswith(f"({5_000_005 - 65_536:,} bytes before this are in ")
    assert answer.endswith("x\nend")
    assert home.program_log(7).stat().st_size < 4_200_000
    assert home.program_log(7).with_name("agent-7.log.1").exists()


def test_does_term_reach_it_and_is_it_given_the_chance_to_end_well(
    kernel: ScriptedKernel, folder: Path, home: Home
) -> None:
    text = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(0)))\n"
        "print('ready')\ntime.sleep(60)\n"
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
        subprocess.run([sys.executable, "-c", text], stdin=theirs, check=True, timeout=30)
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
    host.wait(10)
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


def test_does_python_mean_that_of_the_host(kernel: ScriptedKernel, folder: Path) -> None:
    run(kernel, folder, "python", "-c", "import sys, llmagentos; print(sys.executable)")
    assert end(kernel).args["answer"] == sys.executable
