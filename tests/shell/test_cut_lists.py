"""Does a list that is not the whole list say so?"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from kernel.config import Config
from shell.cli import main
from shell.commands import fs, mem, process
from tests.kernel.rig import MODEL, Rig
from tests.shell.line import Line

Run = Callable[..., tuple[str, str]]


@pytest.fixture
def rig() -> Rig:
    return Rig(Config(default_model=MODEL, versions_kept=1002))


@pytest.fixture
def run(rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What the command shows, and says on stderr."""
    for command in (fs, mem, process):
        monkeypatch.setattr(command, "open_system", lambda: Line(rig).system())

    def command(*words: str) -> tuple[str, str]:
        assert main(list(words)) == 0
        return capsys.readouterr()

    return command


def _pids(out: str) -> list[int]:
    return [row["pid"] for row in json.loads(out)["processes"]]


def test_are_the_last_that_were_collected_shown(rig: Rig, run: Run) -> None:
    host = rig.host(slots=8)
    past = [rig.spawn() for _ in range(5)]
    for pid in reversed(past):
        rig.now += 1
        host.act(pid, "proc.exit")
        rig.call("proc.wait", pid=pid)
    zombie = rig.spawn()
    said = "llmos: of those that were collected only the last 3 are here\n"
    hint = "hint: more: llmos ps --all --history 30\n"
    out, err = run("ps", "--all", "--history", "3", "--json")
    assert (_pids(out), err) == ([1, *past[:3], zombie], said + hint)
    table, err = run("ps", "--all", "--history", "3")
    assert (len(table.splitlines()), err) == (6, said + hint)
    for words in (["--history", "5"], []):
        out, err = run("ps", "--all", *words, "--json")
        assert (_pids(out), err) == ([1, *past, zombie], "")
    out, err = run("ps", "--json", "--history", "3")
    assert (_pids(out), err) == ([1, zombie], "")


def _write(rig: Rig, times: int) -> None:
    for number in range(times):
        rig.call("fs.write", path="/inbox/a", text=str(number))


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_are_versions_that_are_not_shown_told_of(rig: Rig, run: Run, as_json: list[str]) -> None:
    command = ["fs", "history", "/inbox/a", *as_json]
    _write(rig, 3)
    assert run(*command)[1] == ""
    _write(rig, 998)
    newest = "llmos: versions before 2 are not shown: these are the newest\n"
    assert run(*command)[1] == newest
    if as_json:
        assert len(json.loads(run(*command)[0])["versions"]) == 1000


def test_are_versions_that_are_no_longer_kept_told_of(rig: Rig, run: Run) -> None:
    rig.machine.config = Config(default_model=MODEL, versions_kept=3)
    _write(rig, 5)
    out, err = run("fs", "history", "/inbox/a")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["5", "4", "3"]
    assert err == "llmos: versions before 3 are no longer kept\n"


def test_is_it_told_that_more_rows_may_be_found(rig: Rig, run: Run) -> None:
    for number in range(3):
        rig.call("mem.put", key=f"k{number}", value="noodles")
    search = ("mem", "search", "noodles", "--by", "words", "--limit")
    assert run(*search, "2")[1] == "these are the best 2; there may be more\n"
    assert run(*search, "4")[1] == ""
