"""Do the commands do what the screen does? With a real kernel and host, and a scripted driver."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos.home import Home
from shell.cli import main
from tests.system.machines import Machines, agent, eventually
from tests.tui.terminal import Terminal

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(Home(tmp_path_factory.mktemp("twins") / "h"))
    try:
        machines.start_kernel()
        machines.start_driver("--delay", "0.01")
        machines.start_host()
        yield machines
    finally:
        machines.close()


@pytest.fixture
def llmos(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("LLMOS_HOME", str(machines.home.root))
    monkeypatch.delenv("LLMOS_SESSION", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def sleeper(machines: Machines) -> Iterator[int]:
    """An agent that waits for mail."""
    with machines.user() as user:
        pid = user.spawn(agent("sleeper", interactive=True, prompt="Sleep.")).pid
        eventually(lambda: info(machines, pid)["process"]["state"] == "WAITING")
        yield pid


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., str]:
    def written(**spec: Any) -> str:
        file = tmp_path / "agent.yaml"
        file.write_text(json.dumps(agent("talker", prompt="Talk.", **spec)), encoding="utf-8")
        return str(file)

    return written


def info(machines: Machines, pid: int) -> dict[str, Any]:
    with machines.user() as user:
        found: dict[str, Any] = user.call("proc.info", pid=pid)
        return found


def pids(out: str) -> list[int]:
    return [row["pid"] for row in json.loads(out)["processes"]]


def test_does_ps_filter_and_sort(llmos: Command, sleeper: int) -> None:
    rows = pids(llmos("ps", "--filter", "sleeper wait", "--json")[1])
    assert sleeper in rows
    assert 1 not in rows
    newest = pids(llmos("ps", "--sort", "pid", "--reverse", "--json")[1])
    assert newest == sorted(newest, reverse=True)
    assert pids(llmos("ps", "--filter", "no such words", "--json")[1]) == []
    status, _, err = llmos("ps", "--sort", "colour")
    assert (status, "colour" in err) == (2, True)


def test_does_kill_take_many_and_tell_of_each_that_it_could_not(
    machines: Machines, llmos: Command, sleeper: int
) -> None:
    status, _, err = llmos("kill", "99999", str(sleeper), "-s", "STOP")
    assert status == 2
    assert "99999" in err
    assert info(machines, sleeper)["process"]["state"] == "STOPPED"
    assert llmos("kill", str(sleeper), str(sleeper), "-s", "CONT")[0] == 0
    assert llmos("kill")[0] == 2


def test_does_nice_change_the_priority(machines: Machines, llmos: Command, sleeper: int) -> None:
    assert llmos("nice", str(sleeper), "5")[0] == 0
    assert info(machines, sleeper)["process"]["priority"] == 5
    assert llmos("nice", str(sleeper), "--", "-3")[0] == 0
    assert info(machines, sleeper)["process"]["priority"] == -3
    assert llmos("nice", str(sleeper), "20")[0] == 2
    assert llmos("nice", "99999", "1")[0] == 2


def test_does_a_fork_go_on_with_what_it_is_told(
    machines: Machines, llmos: Command, sleeper: int
) -> None:
    status, out, _ = llmos("fork", str(sleeper), "one two", "--name", "cub", "--json")
    child = json.loads(out)
    assert (status, child["name"]) == (0, "cub")

    def answered() -> bool:
        read = json.loads(llmos("ctx", "read", str(child["pid"]), "--json")[1])
        return [m["content"] for m in read["messages"]] == ["Sleep.", "one two", "one two"]

    eventually(answered)
    assert int(llmos("fork", str(sleeper))[1]) == child["pid"] + 1
    assert llmos("fork", "99999")[0] == 2


def test_does_a_context_go_back_and_forth(machines: Machines, llmos: Command, sleeper: int) -> None:
    pid = str(sleeper)
    assert llmos("ctx", "checkpoint", pid, "start")[1] == "start\n"
    assert llmos("send", pid, "alpha beta")[0] == 0
    eventually(lambda: info(machines, sleeper)["process"]["context_messages"] == 3)
    assert json.loads(llmos("ctx", "checkpoint", pid, "--json")[1])["messages"] == 3
    assert llmos("ctx", "checkpoints", pid)[1].split() == ["start", "c2"]
    status, out, err = llmos("ctx", "read", pid, "--last", "1")
    assert (status, "assistant: alpha beta" in out, "1 messages" in err) == (0, True, True)
    assert llmos("ctx", "restore", pid, "start")[1] == "1 messages\n"
    assert llmos("ctx", "restore", pid, "c2")[1] == "3 messages\n"
    assert llmos("ctx", "compact", pid, "They greeted.", "--keep", "1")[0] == 0
    assert llmos("ctx", "rewind", pid, "0", "--json")[1].split() == ["{", '"messages":', "0", "}"]
    assert llmos("ctx", "restore", pid, "nowhere")[0] == 2
    assert llmos("ctx", "rewind", pid, "77")[0] == 2


def test_is_a_driver_drained_and_taken_back(machines: Machines, llmos: Command) -> None:
    def state() -> str:
        rows = json.loads(llmos("drivers", "--json")[1])["drivers"]
        return str(next(row["state"] for row in rows if row["name"] == "fake"))

    assert llmos("drivers", "drain", "fake")[0] == 0
    assert state() in ("draining", "drained")
    assert llmos("drivers", "undrain", "fake")[0] == 0
    eventually(lambda: state() == "ready")
    assert llmos("drivers", "drain", "nobody")[0] == 2


def test_does_a_detached_run_return_at_once_and_go_on(
    machines: Machines, llmos: Command, manifest: Callable[..., str]
) -> None:
    status, out, _ = llmos("run", manifest(), "one two", "--detach")
    assert status == 0
    eventually(lambda: info(machines, int(out))["process"]["state"] == "ZOMBIE")
    told = json.loads(llmos("run", manifest(), "x", "--detach", "--json", "--name", "odd")[1])
    assert told["name"] == "odd"
    assert llmos("wait", str(told["pid"]))[0] == 0


def test_may_an_agent_run_only_where_it_is_told(
    machines: Machines, llmos: Command, manifest: Callable[..., str]
) -> None:
    pid = int(llmos("run", manifest(), "x", "--place", "cloud", "--detach")[1])
    eventually(lambda: info(machines, pid)["placement"] or info(machines, pid)["process"]["exit"])
    spec = info(machines, pid)["spec"]["spec"]
    assert spec["placement"]["allow"] == ["cloud"]
    assert info(machines, pid)["process"]["usage"]["completion_tokens"] == 0
    assert llmos("run", manifest(), "x", "--place", "moon")[0] == 2


def test_does_a_pipe_get_one_answer_of_an_interactive_agent(
    llmos: Command, manifest: Callable[..., str]
) -> None:
    assert llmos("run", manifest(interactive=True), "one two") == (0, "one two\n", "")


def test_is_an_interactive_agent_talked_with_on_a_terminal(
    machines: Machines, manifest: Callable[..., str]
) -> None:
    given = {k: v for k, v in os.environ.items() if not k.startswith("LLMOS_")}
    environment = {**given, "LLMOS_HOME": str(machines.home.root)}
    command = [sys.executable, "-m", "shell", "run", manifest(interactive=True), "first things"]
    with Terminal(command, 80, 24, environment) as terminal:
        terminal.until(lambda: terminal.text.rstrip().endswith(">"), "the prompt")
        terminal.press("second thoughts", "enter")
        terminal.until(lambda: terminal.text.count("second thoughts") == 2, "the answer")
        terminal.until(lambda: terminal.text.rstrip().endswith(">"), "the prompt")
        terminal.press("\x04")
        assert terminal.status(10) == 0
    assert "Traceback" not in terminal.text


def test_does_info_tell_budgets_and_checkpoints(
    machines: Machines, llmos: Command, sleeper: int, manifest: Callable[..., str]
) -> None:
    llmos("ctx", "checkpoint", str(sleeper), "mark")
    assert "points     mark" in llmos("info", str(sleeper))[1]
    pid = int(llmos("run", manifest(limits={"tokens": 500}), "one two", "--detach")[1])
    eventually(lambda: info(machines, pid)["process"]["state"] == "ZOMBIE")
    assert "of 500, turns 1" in llmos("info", str(pid))[1]


def test_do_all_of_them_say_that_the_system_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMOS_HOME", str(tmp_path / "nowhere"))
    for words in (
        ["nice", "2", "1"], ["fork", "2"], ["ctx", "read", "2"], ["drivers", "drain", "x"],
        ["kill", "2", "3"], ["web"],
    ):  # fmt: skip
        assert main(words) == 3, words
        out, err = capsys.readouterr()
        assert out == ""
        assert "llmos up" in err
