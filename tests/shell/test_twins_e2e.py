"""Do the commands do what the screen does? With a real kernel and host, and a scripted driver."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shell import image
from shell.cli import main
from shell.commands.process import SORTS
from shell.tui import board
from tests.system.machines import Machines, agent, eventually

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def llmos(on_machines: Command) -> Command:
    return on_machines


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
    assert tuple(board.SORTS) == SORTS
    table = llmos("ps", "--filter", "sleeper", "--tree", "--sort", "age")[1].splitlines()
    assert {line.split()[2] for line in table[1:]} == {"sleeper"}


def test_does_kill_take_many_and_tell_of_each_that_it_could_not(
    machines: Machines, llmos: Command, sleeper: int
) -> None:
    status, out, err = llmos("kill", "99999", "1", str(sleeper), "-s", "STOP")
    assert (status, out) == (2, "")
    assert err.index("no process 99999") < err.index("process 1 takes no signals")
    assert llmos("kill", "1", "99999")[0] == 4
    assert info(machines, sleeper)["process"]["state"] == "STOPPED"
    assert llmos("kill", str(sleeper), str(sleeper), "-s", "sigcont")[0] == 0
    assert info(machines, sleeper)["process"]["state"] == "WAITING"
    assert llmos("kill")[0] == 2


def test_does_nice_change_the_priority(machines: Machines, llmos: Command, sleeper: int) -> None:
    assert llmos("nice", str(sleeper), "5")[0] == 0
    assert info(machines, sleeper)["process"]["priority"] == 5
    for words, priority in ((["-3"], -3), (["--", "-4"], -4)):
        assert llmos("nice", str(sleeper), *words)[0] == 0
        assert info(machines, sleeper)["process"]["priority"] == priority
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
    for words in (["99999"], ["1"], [str(sleeper), " "], [str(sleeper), "--name", "no name!"]):
        status, out, err = llmos("fork", *words)
        assert (status, out, "hint: " in err) == (2, "", True), words


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
    status, mark, _ = llmos("ctx", "compact", pid, "They greeted.", "--keep", "1")
    assert status == 0
    summary = mark.strip().partition(":")[2]
    shown = llmos("ctx", "read", pid)[1]
    assert f" (for {int(summary) - 2} to {int(summary) - 2}): They greeted." in shown
    assert "user: alpha beta" in llmos("ctx", "read", pid, "--source", summary)[1]
    assert llmos("ctx", "undo", pid)[1] == "3 messages\n"
    assert "They greeted." not in llmos("ctx", "read", pid)[1]
    assert llmos("ctx", "compact", pid, "They greeted.", "--keep", "1")[0] == 0
    assert llmos("ctx", "rewind", pid, "0", "--json")[1].split() == ["{", '"messages":', "0", "}"]
    for words in (
        ["restore", pid, "nowhere"], ["rewind", pid, "777777"], ["rewind", pid, "last"],
        ["checkpoint", pid, "no name!"], ["compact", pid, " "], ["compact", "99999", "x"],
        ["read", "99999"], ["read", pid, "--last", "0"], ["checkpoints", "99999"],
        ["read", pid, "--source", "1"], ["undo", pid], ["undo", "99999"],
    ):  # fmt: skip
        status, out, err = llmos("ctx", *words)
        assert (status, out, "hint: " in err) == (2, "", True), words
    assert llmos("ctx", "compact", pid, "x", "--keep", "9")[0] == 2


def test_is_a_driver_drained_and_taken_back(machines: Machines, llmos: Command) -> None:
    def state() -> str:
        rows = json.loads(llmos("drivers", "--json")[1])["drivers"]
        return str(next(row["state"] for row in rows if row["name"] == "fake"))

    assert llmos("drivers", "drain", "fake")[0] == 0
    assert state() in ("draining", "drained")
    assert llmos("drivers", "undrain", "fake")[0] == 0
    eventually(lambda: state() == "ready")
    assert llmos("drivers", "drain", "nobody")[0] == 2
    status, out, err = llmos("drivers", "--json", "drain", "fake")
    assert (status, out, "drain has no --json" in err) == (2, "", True)
    assert state() == "ready"


def test_does_a_detached_run_return_at_once_and_go_on(
    machines: Machines, llmos: Command, manifest: Callable[..., str]
) -> None:
    # As a program in the background: with a stdin that is at its end.
    silent = subprocess.run(
        [*image.command("shell"), "run", manifest(interactive=True), "--detach"],
        env=image.environment(machines.home), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (silent.returncode, silent.stderr) == (0, "")
    status, out, _ = llmos("run", manifest(), "one two", "--detach")
    assert status == 0
    eventually(lambda: info(machines, int(out))["process"]["state"] == "ZOMBIE")
    told = json.loads(llmos("run", manifest(), "x", "--detach", "--json", "--name", "odd")[1])
    assert (told["name"], told["notices"]) == ("odd", [])
    assert llmos("wait", str(told["pid"]))[0] == 0
    # Whoever started it is long gone.
    assert llmos("send", silent.stdout.strip(), "still there?")[0] == 0
    eventually(lambda: info(machines, int(silent.stdout))["process"]["context_messages"] == 3)


def test_is_an_agent_refused_that_has_nothing_to_answer(
    machines: Machines, manifest: Callable[..., str]
) -> None:
    command = [*image.command("shell"), "run", manifest(), "--detach", "--name", "idle"]
    silent = subprocess.run(
        command, env=image.environment(machines.home), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (silent.returncode, silent.stdout) == (2, "")
    assert silent.stderr.startswith("llmos: idle is given no text")
    with machines.user() as user:
        rows = user.call("proc.list", history=100)["processes"]
    assert all(row["exit"] for row in rows if row["name"] == "idle")


def test_is_it_told_that_an_answer_was_cut_off(
    llmos: Command, manifest: Callable[..., str]
) -> None:
    status, out, err = llmos("run", manifest(), "one two three", "--max-tokens", "2")
    assert (status, out.strip()) == (0, "one two")
    sentence, hint = err.splitlines()
    assert sentence == "llmos: the answer was cut off at 2 tokens"
    assert "--max-tokens" in hint
    status, out, err = llmos("run", manifest(), "one two three", "--max-tokens", "2", "--json")
    assert (status, json.loads(out)["answer"].strip()) == (0, "one two")
    assert sentence in err
    assert llmos("run", manifest(), "one two three", "--max-tokens", "4")[2] == ""


def test_does_a_port_that_is_taken_end_before_an_address_is_told(llmos: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, out, err = llmos("web", "--port", port)
    assert (status, out) == (2, "")
    assert f"can't listen on 127.0.0.1, port {port}: address already in use\nhint: " in err


def test_may_an_agent_run_only_where_it_is_told(
    machines: Machines, llmos: Command, manifest: Callable[..., str]
) -> None:
    pid = int(llmos("run", manifest(), "x", "--place", "cloud", "--detach")[1])
    eventually(lambda: info(machines, pid)["placement"] or info(machines, pid)["process"]["exit"])
    spec = info(machines, pid)["spec"]["spec"]
    assert spec["placement"]["allow"] == ["cloud"]
    assert info(machines, pid)["process"]["usage"]["completion_tokens"] == 0
    assert llmos("run", manifest(), "x", "--place", "moon")[0] == 2


def test_does_info_tell_budgets_and_checkpoints(
    machines: Machines, llmos: Command, sleeper: int, manifest: Callable[..., str]
) -> None:
    llmos("ctx", "checkpoint", str(sleeper), "mark")
    assert "checkpoints mark" in llmos("info", str(sleeper))[1]
    pid = int(llmos("run", manifest(limits={"tokens": 1_234_567}), "one two", "--detach")[1])
    eventually(lambda: info(machines, pid)["process"]["state"] == "ZOMBIE")
    assert "of 1234567, turns 1" in llmos("info", str(pid))[1]


def test_do_all_of_them_say_that_the_system_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMOS_HOME", str(tmp_path / "nowhere"))
    for words in (
        ["nice", "2", "1"], ["fork", "2"], ["ctx", "read", "2"], ["ctx", "checkpoint", "2"],
        ["ctx", "checkpoints", "2"], ["ctx", "restore", "2", "x"], ["ctx", "rewind", "2", "0"],
        ["ctx", "compact", "2", "x"], ["ctx", "undo", "2"],
        ["drivers", "drain", "x"], ["drivers", "undrain", "x"],
        ["kill", "2", "3"], ["run", "x", "y", "--detach"], ["ps", "--sort", "out"], ["web"],
    ):  # fmt: skip
        assert main(words) == 3, words
        out, err = capsys.readouterr()
        assert out == ""
        assert "llmos up" in err
