"""How a host runs the program of a manifest: where, with what, and what is made of its end."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from llmagentos.home import Home
from tests.agents.programs import end, run, script
from tests.agents.scripted_kernel import ScriptedKernel

pytestmark = pytest.mark.usefixtures("host")


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


def test_does_python_mean_that_of_the_host(kernel: ScriptedKernel, folder: Path) -> None:
    run(kernel, folder, "python", "-c", "import sys, llmagentos; print(sys.executable)")
    assert end(kernel).args["answer"] == sys.executable
