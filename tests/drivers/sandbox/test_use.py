"""Is what an agent runs in good faith served as on any machine, and told in full?"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drivers.sandbox import landlock, probe, seccomp, tools
from drivers.sandbox.folders import Folders
from drivers.sandbox.stream import Stream
from drivers.tool import Job
from llmagentos.abi.errors import EDRIVER, EINVAL, ENOSYS
from tests.drivers.sandbox.conftest import Box


def test_is_all_of_the_result_told(box: Box) -> None:
    result = box.shell("echo out; echo err >&2; exit 3")
    assert 0 <= result.pop("seconds") < 60
    assert result == {
        "exit_code": 3, "signal": None, "stdout": "out\n", "stderr": "err\n",
        "stdout_truncated": False, "stderr_truncated": False, "denied": [], "removed": [],
    }  # fmt: skip


def test_can_a_driver_whose_files_are_its_own_confine(box: Box, tmp_path: Path) -> None:
    """``llmos up --detach`` sets this mask for all that it starts. (``box``: this machine can.)"""
    before = os.umask(0o077)
    try:
        private = Box(tmp_path / "box")
        assert private.sandbox.obstacle == box.sandbox.obstacle
        result = private.shell("id -un; echo x > /tmp/a; echo y > /dev/shm/b; echo z > c; cat c")
    finally:
        os.umask(before)
    assert (result["stdout"], result["stderr"]) == ("sandbox\nz\n", "")


def test_is_an_end_by_signal_told(box: Box) -> None:
    result = box.shell("kill -SEGV $$")
    assert (result["exit_code"], result["signal"]) == (None, "SIGSEGV")


@pytest.mark.parametrize(
    ("command", "out"),
    [
        ("seq 3 | sort -r | tr '\\n' ' '", "3 2 1 "),
        ("cat; echo empty", "empty\n"),
        ("pwd; echo $HOME $TMPDIR", "/work\n/work /tmp\n"),
        ("id -un; hostname", "sandbox\nsandbox\n"),
        ("echo \"grüße 😀 日本\"", "grüße 😀 日本\n"),
        ("printf 'a\\377b'", "a\ufffdb"),
        ("yes | head -1", "y\n"),
        ("printf '#!/bin/sh\\necho ran' > run; chmod +x run; ./run", "ran\n"),
        ("echo x > /tmp/a && cat /tmp/a && echo y > /dev/null", "x\n"),
        ("echo text | tee /dev/stderr | awk '{ print $1 }'", "text\n"),
        ("cat <<END\nhere\nEND", "here\n"),
        ("echo $(($(date +%Y) > 2000))", "1\n"),
        ("sleep 0.01 & wait; echo done", "done\n"),
    ],
)  # fmt: skip
def test_does_a_plain_command_work(box: Box, command: str, out: str) -> None:
    result = box.shell(command)
    assert (result["stdout"], result["denied"]) == (out, []), result


@pytest.mark.parametrize(
    ("code", "out"),
    [
        ("print(6 * 7)", "42\n"),
        ("print('grüße 😀')", "grüße 😀\n"),
        ("import json, re, sqlite3, zlib, decimal, random; print(random.random() < 1)", "True\n"),
        ("import sqlite3; d = sqlite3.connect('d.db'); d.execute('create table t(a)');"
         "d.commit(); print(d.execute('select count(*) from t').fetchone())", "(0,)\n"),
        ("import subprocess; print(subprocess.check_output(['echo', 'x']))", "b'x\\n'\n"),
        ("import tempfile; print(tempfile.mkdtemp().startswith('/tmp/'))", "True\n"),
        ("import concurrent.futures as f\n"
         "with f.ThreadPoolExecutor(4) as pool: print(sum(pool.map(abs, range(-9, 1))))", "45\n"),
        ("import multiprocessing as m\n"
         "with m.Pool(2) as pool: print(pool.map(abs, [-1, -2]))", "[1, 2]\n"),
        ("import asyncio; print(asyncio.run(asyncio.sleep(0, 'slept')))", "slept\n"),
        ("open('mod.py', 'w').write('x = 5'); import mod; print(mod.x)", "5\n"),
        ("import sys; print(sys.stdin.read() == '')", "True\n"),
    ],
)  # fmt: skip
def test_does_plain_python_work(box: Box, code: str, out: str) -> None:
    result = box.python(code)
    assert (result["stdout"], result["denied"]) == (out, []), result


def test_is_a_python_shown_that_is_not_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: Box
) -> None:
    """It may be in somebody's home: of that, nothing else is seen."""
    monkeypatch.setattr(tools, "_SYSTEM_PYTHONS", ())
    other = Box(tmp_path / "box")
    assert other.sandbox.obstacle == ""
    code = "import sys, ssl, ctypes; print(sys.prefix)"
    assert other.python(code)["stdout"] == f"{sys.base_prefix}\n"
    if not sys.base_prefix.startswith("/usr"):
        assert other.shell(f"ls {Path(sys.base_prefix).parent}")["stdout"].count("\n") == 1
        assert box.shell(f"ls {sys.base_prefix}")["exit_code"] != 0


def test_are_files_kept_for_their_process_only(box: Box) -> None:
    box.shell("mkdir -p a && echo mine > a/b", job=Job(1, 21))
    assert box.shell("cat a/b", job=Job(2, 21))["stdout"] == "mine\n"
    assert box.python("print(open('a/b').read())", job=Job(3, 21))["stdout"] == "mine\n\n"
    assert box.shell("ls", job=Job(4, 22))["stdout"] == ""
    assert box.shell("ls /tmp", job=Job(4, 21))["stdout"] == ""


def test_is_long_output_cut_in_the_middle(box: Box) -> None:
    result = box.shell("echo first; seq 100000; echo last")
    out = result["stdout"]
    assert (result["stdout_truncated"], result["stderr_truncated"]) == (True, False)
    assert (out[:6], out[-5:], "bytes left out …" in out) == ("first\n", "last\n", True)
    assert len(out) < 67_000


@pytest.mark.parametrize("length", [0, 1, 32_768, 65_536])
def test_is_what_fits_kept_whole(length: int) -> None:
    stream = Stream()
    for start in range(0, length, 1000):
        stream.feed(b"x" * min(1000, length - start))
    assert (len(stream.text), stream.truncated) == (length, False)
    stream.feed(b"y" * 65_537)
    assert stream.truncated


def test_may_several_run_at_once(box: Box) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(lambda n: box.shell(f"sleep 0.1; echo {n}", job=Job(n, n % 2 + 30)), range(8))
        )
    assert [result["stdout"] for result in results] == [f"{n}\n" for n in range(8)]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("shell", {}),
        ("shell", {"command": ""}),
        ("shell", {"command": "a\0b"}),
        ("shell", {"command": "x" * 30_001}),
        ("shell", {"command": "true", "timeout": 0}),
        ("shell", {"command": "true", "timeout": 601}),
        ("python", {"code": "1", "cwd": "/"}),
    ],
)
def test_are_arguments_that_do_not_fit_refused(
    box: Box, tool: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(EINVAL):
        box.tools[tool].run(arguments, Job(1, 7))


def test_does_the_longest_command_fit(box: Box) -> None:
    assert box.shell(f"echo {'😀' * 29_000} | wc -m")["stdout"] == "29001\n"


def test_is_a_jail_there_soon(box: Box) -> None:
    """Some 30 ms on an idle machine; once, as others work here too."""
    assert any(_seconds(box) < 0.5 for _ in range(30))


def _seconds(box: Box) -> float:
    begun = time.monotonic()
    box.shell("true")
    return time.monotonic() - begun


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (landlock, "version", "the kernel has Landlock not at all; 3 is needed"),
        (seccomp, "supported", "the system calls of this processor are not known"),
    ],
)
def test_is_nothing_run_where_nothing_can_be_confined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, words: str
) -> None:
    monkeypatch.setattr(module, name, lambda: 0)
    box = Box(tmp_path / "box")
    for tool in (box.shell, box.python):
        with pytest.raises(ENOSYS) as caught:
            tool("touch ran")
        assert words in caught.value.message
        assert "--unconfined" in caught.value.hint
    assert not list(box.folders.root.rglob("ran"))


def test_is_a_jail_that_breaks_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(aborted: threading.Event) -> Any:
        raise EDRIVER("the jail broke: unshare: Operation not permitted")

    monkeypatch.setattr(landlock, "version", lambda: 7)
    assert "unshare" in probe.obstacle(breaks)


def test_does_the_unconfined_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        box = Box(tmp_path / "box", confined=False)
    assert "WITHOUT confinement" in caplog.text
    assert all("NOT CONFINED" in tool.card.description for tool in box.tools.values())
    result = box.shell("id -u; pwd; (sleep 60 &) ; exit 4")
    assert result["stdout"] == f"{os.getuid()}\n{box.folders.root}/7\n"
    assert (result["exit_code"], result["seconds"] < 50) == (4, True)
    late = box.shell("trap '' TERM; (setsid sleep 30 &); sleep 30", timeout=0.3)
    assert (late["signal"], late["denied"]) == ("SIGKILL", ["time: more than 0.3 seconds"])


def test_are_folders_swept_that_nobody_uses(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "box")
    old, new = folders.of(1, None), folders.of(2, None)
    (old / "deep").mkdir()
    os.utime(old, (0, 0))
    folders.sweep(days=30)
    assert (old.exists(), new.exists()) == (False, True)


def test_is_a_folder_of_nobody_else(tmp_path: Path) -> None:
    folder = Folders(tmp_path / "box").of(1, None)
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, folder.parent)] == ["0o700"] * 2
