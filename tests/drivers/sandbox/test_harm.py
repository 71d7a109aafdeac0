"""Is a command that takes all it can get ended within its limits, and the next one served?"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.sandbox.folder import remove_tree
from drivers.tool import Job
from llmagentos.abi.errors import ECANCELED
from tests.drivers.sandbox.conftest import PID, Box


@pytest.fixture(autouse=True)
def _works_afterwards(small_box: Box) -> Iterator[None]:
    free = shutil.disk_usage(small_box.folders.root).free
    yield
    small_box.works()
    assert free - shutil.disk_usage(small_box.folders.root).free < 500 << 20


def test_is_a_fork_bomb_bounded(small_box: Box) -> None:
    result = small_box.shell("f() { f | f & }; f; sleep 1; echo over")
    assert (result["stdout"], "annot fork" in result["stderr"]) == ("over\n", True)


def test_is_a_thread_bomb_bounded(small_box: Box) -> None:
    result = small_box.python(
        "import threading, time\n"
        "for n in range(1000): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"
    )
    assert "can't start new thread" in result["stderr"]


@pytest.mark.parametrize(
    "command", ["head -c 1000000000 /dev/zero > big", "truncate -s 1G big", "fallocate -l 1G big"]
)
def test_is_a_large_file_refused(small_box: Box, command: str) -> None:
    result = small_box.shell(f"{command}; code=$?; stat -c %s big; exit $code")
    assert int(result["stdout"] or 0) <= 8 << 20
    assert result["exit_code"] == 153, result
    assert any("file size" in what for what in result["denied"])


def test_is_the_file_limit_an_error_in_python(small_box: Box) -> None:
    result = small_box.python("open('big', 'wb').write(bytes(9 << 20))")
    assert (result["exit_code"], "File too large" in result["stderr"]) == (1, True)
    assert Path(small_box.folders.root, str(PID), "big").stat().st_size <= 8 << 20


def test_is_a_full_folder_cut_back(small_box: Box) -> None:
    small_box.shell("echo old > old; sleep 0.02")
    result = small_box.shell(
        "n=0; while :; do n=$((n+1)); head -c 8000000 /dev/zero > f$n; done", timeout=60
    )
    assert (result["signal"], result["exit_code"]) == ("SIGKILL", None)
    assert result["denied"] == ["folder: more than 16,777,216 bytes"]
    assert result["removed"]
    folder = small_box.folders.root / str(PID)
    assert (folder / "old").read_text() == "old\n"
    assert sum(file.stat().st_blocks * 512 for file in folder.iterdir()) <= 16 << 20


def test_are_too_many_files_cut_back(small_box: Box) -> None:
    result = small_box.python(
        "import itertools, os\n"
        "for n in itertools.count():\n"
        "    os.mkdir(f'd{n}')\n"
        "    open(f'd{n}/f', 'w').close()"
    )
    assert result["denied"] == ["folder: more than 500 files"]
    assert result["removed"][-1].startswith("and ")
    small_box.works()
    folder = small_box.folders.root / str(PID)
    assert 0 < len(list(folder.rglob("*"))) <= 501


def test_can_names_that_are_no_text_be_told(small_box: Box) -> None:
    result = small_box.python("for n in range(600): open(b'\\xff\\n%d' % n, 'w').close()\nprint(1)")
    assert result["removed"][0].startswith("\ufffd\n")
    json.dumps(result, ensure_ascii=False).encode()


def test_is_a_folder_without_end_cut_back(small_box: Box) -> None:
    result = small_box.python(
        "import os\nfor n in range(3000):\n    os.mkdir('d'); os.chdir('d')\nopen('x', 'w')"
    )
    assert result["denied"] == ["folder: more than 64 folders in each other"]
    folder = small_box.folders.root / str(PID)
    assert 60 <= len(list(folder.rglob("*"))) <= 70


def test_is_a_deep_tree_with_traps_removed(tmp_path: Path) -> None:
    root, outside = tmp_path / "all" / "root", tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    root.mkdir(parents=True)
    before = Path.cwd()
    try:
        os.chdir(root)
        for _ in range(200):
            os.mkdir("1")
            os.symlink(outside, "out")
            os.chdir("1")
    finally:
        os.chdir(before)
    remove_tree(str(root))
    assert os.listdir(tmp_path / "all") == []
    assert os.listdir(outside) == ["kept"]


def test_is_a_hog_of_memory_refused(small_box: Box) -> None:
    result = small_box.python("x = bytearray(1 << 30)")
    assert (result["exit_code"], "MemoryError" in result["stderr"]) == (1, True)


def test_are_many_hogs_of_memory_ended(small_box: Box) -> None:
    hog = "python3 -c 'import time; x = bytearray(60 << 20); time.sleep(90)'"
    result = small_box.shell(f"{hog} & {hog} & {hog} & {hog} & wait")
    assert result["denied"] == ["memory: more than 134,217,728 bytes"]


@pytest.mark.parametrize("room", ["/tmp", "/dev/shm"])
def test_is_a_room_in_memory_bounded(small_box: Box, room: str) -> None:
    fill = f"for n in 1 2 3; do head -c 3000000 /dev/zero > {room}/$n || echo full; done"
    result = small_box.shell(f"{fill}; n=0; while : > {room}/e$n; do n=$((n+1)); done; echo $n")
    assert "full\n" in result["stdout"]
    assert small_box.shell(f"ls {room}")["stdout"] == ""


@pytest.mark.parametrize("command", ["yes", "yes >&2", "yes & yes >&2", "cat /dev/zero"])
def test_is_endless_output_ended(small_box: Box, command: str) -> None:
    result = small_box.shell(command)
    assert (result["exit_code"], result["signal"]) == (None, "SIGKILL")
    assert result["denied"] == ["output: more than 1,048,576 bytes"]
    assert len(result["stdout"]) + len(result["stderr"]) < 140_000


def test_are_descriptors_bounded(small_box: Box) -> None:
    result = small_box.python("x = [open('/dev/null') for n in range(1000)]")
    assert "Too many open files" in result["stderr"]


@pytest.mark.parametrize(
    "command",
    [
        "sleep 90",
        "while :; do :; done",
        "trap '' TERM INT HUP; sleep 90 & (setsid sleep 90 &) ; while :; do :; done",
        "kill -STOP $$",
    ],
)
def test_does_the_time_end_all_of_it(small_box: Box, command: str) -> None:
    for seconds in (0.4, 4, 40):  # until there is time enough to begin
        result = small_box.shell(f"echo begun; {command}", timeout=seconds)
        assert result["denied"] == [f"time: more than {seconds:g} seconds"]
        assert result["signal"] == "SIGKILL"
        if result["stdout"]:
            break
    assert result["stdout"] == "begun\n"


def test_does_an_abort_end_all_of_it(small_box: Box) -> None:
    job = Job(1, PID)
    threading.Timer(0.4, job.aborted.set).start()
    with pytest.raises(ECANCELED):
        small_box.shell("while :; do date +%s.%N > lived; sleep 0.1; done & sleep 90", job=job)
    assert small_box.is_still("lived")


def test_is_processor_time_counted(small_box: Box) -> None:
    """Of each process, by the kernel; the clock would end it a moment later."""
    result = small_box.shell("ulimit -t 1; while :; do :; done")
    assert result["signal"] in ("SIGXCPU", "SIGKILL")


def test_is_a_flood_of_barred_calls_harmless(small_box: Box) -> None:
    result = small_box.python(
        "import socket\n"
        "for n in range(3000):\n"
        "    try: socket.socket(100 + n, 1)\n"
        "    except OSError: pass\n"
        "print('over')"
    )
    assert (result["stdout"], len(result["denied"])) == ("over\n", 100)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("while :; do sleep 9 & done", "processes: as many as there may be, 24"),
        ("head -c 1G /dev/zero > big", "file size: "),
        ("truncate -s 1G big", "file size: "),
        ("python3 -c \"open('big', 'wb').write(bytes(9 << 20))\"", "file size: "),
        ("python3 -c 'x = bytearray(1 << 30)'", "memory: more than 268,435,456 bytes"),
        ("python3 -c 'x = [open(\"/dev/null\") for n in range(999)]'", "descriptors: all 256"),
        ("head -c 9000000 /dev/zero > /tmp/x", "room: /tmp is full"),
        ("for n in $(seq 5000); do : > /dev/shm/$n || exit; done", "room: /dev/shm is full"),
        ("sleep 9", "time: more than 0.5 seconds"),
        ("yes", "output: more than "),
    ],
)  # fmt: skip
def test_is_a_limit_that_was_met_told(small_box: Box, command: str, what: str) -> None:
    """Also where it is no more than an error inside the command."""
    job = Job(1, PID)
    result = small_box.shell(command, job=job, timeout=0.5 if command == "sleep 9" else None)
    found = [one.detail for one in job.denied if one.what == "limit"]
    assert any(one.startswith(what) for one in found), (job.denied, result)
    assert set(found) <= set(result["denied"])


def test_is_a_shell_with_children_not_interrupted(small_box: Box) -> None:
    """Where a call waits to be heard, a signal may end it."""
    for _ in range(12):
        result = small_box.shell("echo text | cat | cat")
        assert (result["stdout"], result["stderr"]) == ("text\n", "")


@pytest.mark.parametrize(
    "command",
    [
        "ls / /usr /proc > a; id; cat a /etc/passwd; env; for n in 1 2 3; do ls & done; wait",
        "mkdir -p d/e && ln -s ../d d/l && echo x > d/l/e/f && mv d/e d/g && rm -r d",
        'python3 -c \'import asyncio, json, subprocess; subprocess.run(["ls", "/tmp"])\'',
        "echo x | tee /dev/stderr > /dev/stdout; echo x > /dev/null; cat < /dev/fd/0",
        "sleep 9 & kill $!; mkdir /tmp/x; echo x > /tmp/x/y; (ulimit -n 10; ls)",
        "python3 -c 'import os, threading; t = threading.Thread(target=os.getpid); t.start()'",
    ],
)
def test_is_nothing_said_of_what_harms_nobody(box: Box, command: str) -> None:
    job = Job(1, PID)
    result = box.shell(command, job=job)
    assert (result["exit_code"], job.denied) == (0, [])
