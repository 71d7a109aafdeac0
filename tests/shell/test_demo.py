"""Does the demonstration run the shipped agents at once, and leave nothing behind?"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.home import Home
from shell import boot, image
from shell.demo import AGENTS
from tests.shell.standins import end, until


def _configure(home: Home, **options: object) -> None:
    home.root.mkdir()
    told = ", ".join(f"{name}: {value}" for name, value in options.items())
    driver = f"{{name: fake, kind: scripted, model: {DEFAULT_MODEL}, options: {{{told}}}}}"
    home.config.write_text(f"drivers: [{driver}]\n")


@pytest.fixture
def demo(home: Home) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        end(process.pid)
        process.communicate()
    until(lambda: not boot.is_up(home))


def _start(home: Home, demo: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "shell.demo"], env=image.environment(home), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    demo.append(process)
    return process


def test_do_all_agents_answer_at_once(home: Home, demo: list[subprocess.Popen[str]]) -> None:
    _configure(home, delay=0.05, script='"' + "word " * 60 + '"')
    out, err = _start(home, demo).communicate(timeout=100)
    assert demo[0].returncode == 0, err
    speakers = [line.split()[0] for line in out.splitlines() if "│" in line]
    assert set(speakers) == set(AGENTS)
    # Each says several lines, and nobody says all of them in one go.
    assert all(speakers.count(name) > 1 for name in AGENTS)
    assert speakers[: len(AGENTS)] != [AGENTS[0]] * len(AGENTS)
    rows = [line.split() for line in out.splitlines() if f"{DEFAULT_MODEL}@fake" in line]
    assert [row[2] for row in rows] == list(AGENTS)
    assert all(row[3] == "ENDED" and row[6] == "60" and row[-1] == "0" for row in rows)
    assert not boot.is_up(home)


def test_does_an_empty_answer_fail_it(home: Home, demo: list[subprocess.Popen[str]]) -> None:
    _configure(home, script="' '")
    _, err = _start(home, demo).communicate(timeout=100)
    assert demo[0].returncode == 1
    assert all(f"{name} gave an empty answer" in err for name in AGENTS)


def test_does_ctrl_c_take_its_system_down(home: Home, demo: list[subprocess.Popen[str]]) -> None:
    _configure(home, delay=0.1, script='"' + "word " * 400 + '"')
    process = _start(home, demo)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not boot.is_up(home)
