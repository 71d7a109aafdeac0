"""Does the command do what it says? With a real kernel, a real host and a scripted driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmagentos.home import Home
from shell import boot, image
from shell.cli import main
from shell.lock import supervisor_pid
from tests.shell.conftest import ECHO
from tests.shell.standins import end, lives, run_llmos, start_llmos, until

CONFIG = """
drivers:
  - {name: fake, kind: scripted, model: fake-model}
  - {name: slow, kind: scripted, model: slow-model, options: {delay: 0.05, script: "%s"}}
"""
ENDLESS = "and so on " * 400


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A system for all tests here, brought up and taken down by the command."""
    home = Home(tmp_path_factory.mktemp("system"))
    home.config.write_text(CONFIG % ENDLESS)
    began = time.monotonic()
    done = run_llmos(home, "up", "--detach")
    assert done.returncode == 0, done.stderr
    print(f"llmos up --detach took {time.monotonic() - began:.2f} s")
    supervisor = supervisor_pid(home)
    assert supervisor is not None
    try:
        until(lambda: _drivers(home) == {"fake": "ready", "slow": "ready", "host": "ready"}, 60)
        yield home
        assert run_llmos(home, "down").returncode == 0
        assert not boot.is_up(home)
        until(lambda: not lives(supervisor))
    finally:
        end(supervisor)


@pytest.fixture
def llmos(
    up: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, which is quicker: its status, stdout and stderr."""
    monkeypatch.setenv("LLMOS_HOME", str(up.root))

    def run(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        return status, *capsys.readouterr()

    return run


Command = Callable[..., tuple[int, str, str]]


def _drivers(home: Home) -> dict[str, str]:
    done = run_llmos(home, "drivers", "--json")
    return {row["name"]: row["state"] for row in json.loads(done.stdout)["drivers"]}


def test_is_the_answer_streamed_and_the_code_the_agents(llmos: Command, manifest: str) -> None:
    assert llmos("run", manifest, "Grüße aus Wien") == (0, "Grüße aus Wien\n", "")


def test_does_a_pipe_reach_the_agent_and_json_tell_all(up: Home, manifest: str) -> None:
    done = run_llmos(up, "run", manifest, "--json", "--name", "reader", input="piped in")
    record = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (record["name"], record["answer"].strip(), record["code"]) == ("reader", "piped in", 0)
    assert record["usage"]["completion_tokens"] == 2


def test_does_a_short_answer_stay_short(llmos: Command, manifest: str) -> None:
    assert llmos("run", manifest, "one two three", "--max-tokens", "2")[1].split() == ["one", "two"]


def test_does_an_exhausted_limit_exit_with_4(llmos: Command, manifest: str) -> None:
    status, out, err = llmos("run", manifest, "one two three", "--limit", "tokens=1")
    assert (status, out) == (4, "")
    assert err.startswith("llmos: ")


@pytest.mark.parametrize("words", [("no-such-agent",), ("./no-such.yaml",)])
def test_is_an_unknown_manifest_a_usage_error(llmos: Command, words: tuple[str]) -> None:
    status, out, err = llmos("run", *words, "text")
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert "hint: " in err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_does_a_signal_end_the_agent_too(
    up: Home, llmos: Command, manifest: str, number: signal.Signals, status: int
) -> None:
    name = f"ended-by-{number.name}"
    with start_llmos(up, "run", manifest, "x", "--model", "slow-model", "--name", name) as run:
        assert run.stdout is not None
        assert run.stdout.read(10).strip()
        run.send_signal(number)
        err = run.communicate(timeout=60)[1]
    assert run.returncode == status, err
    assert "Traceback" not in err
    rows = json.loads(llmos("ps", "--json", "--all")[1])["processes"]
    assert [row["state"] for row in rows if row["name"] == name] == ["ZOMBIE"]


def test_does_the_agent_end_when_its_reader_goes_away(
    up: Home, llmos: Command, manifest: str
) -> None:
    def states() -> list[str]:
        rows = json.loads(llmos("ps", "--json", "--all")[1])["processes"]
        return [row["state"] for row in rows if row["name"] == "unread"]

    with start_llmos(up, "run", manifest, "x", "--model", "slow-model", "--name", "unread") as run:
        assert run.stdout is not None
        assert run.stdout.read(10)
        run.stdout.close()
        assert run.wait(60) == 141
        assert run.stderr is not None
        assert run.stderr.read() == ""
    until(lambda: states() == ["ZOMBIE"])


def test_do_kill_wait_and_logs_see_a_running_agent(up: Home, llmos: Command, manifest: str) -> None:
    with start_llmos(
        up, "run", manifest, "hello", "--model", "slow-model", "--name", "seen"
    ) as run:
        assert run.stdout is not None
        assert run.stdout.read(10)
        rows = json.loads(llmos("ps", "--json")[1])["processes"]
        pid = next(str(row["pid"]) for row in rows if row["name"] == "seen")
        with start_llmos(up, "logs", pid, "-f") as logs:
            assert logs.stdout is not None
            told = logs.stdout.read(70)
            assert "── system ──\nSay it back.\n── user ──\nhello\n── assistant ──\nand" in told
            assert llmos("limits", pid, "tokens=100000", "wall=5m")[0] == 0
            assert "wall=300" in llmos("limits", pid)[1]
            status, out, _ = llmos("info", pid)
            assert status == 0
            assert "slow-model@slow" in out
            assert "RUNNING" in llmos("ps", "--tree")[1]
            assert "slow 1/" in llmos("top")[1]
            assert llmos("kill", pid, "-s", "kill", "--tree")[0] == 0
            logs.communicate(timeout=60)
        run.communicate(timeout=60)
    assert run.returncode not in (0, 1, 2, 3, 4)
    status, out, _ = llmos("wait", pid, "--json")
    assert (status, json.loads(out)["signal"]) == (run.returncode, "KILL")
    row = next(line for line in llmos("ps", "--all")[1].splitlines() if line.split()[0] == pid)
    assert row.split()[3] == "ENDED"


def test_do_logs_show_a_short_answer_once(up: Home, llmos: Command, tmp_path: Path) -> None:
    file = tmp_path / "short.yaml"
    spec = {"model": "fake-model", "interactive": True}
    file.write_text(json.dumps({**ECHO, "spec": spec}))
    words = [f"word{number} and more" for number in range(8)]
    pid = llmos("run", str(file), "begin", "--detach")[1].strip()
    with start_llmos(up, "logs", pid, "-f") as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline()
        until(lambda: "WAITING(mail)" in llmos("ps")[1])
        for word in words:
            assert llmos("send", pid, word)[0] == 0
            until(lambda: "WAITING(mail)" in llmos("ps")[1])
        assert llmos("kill", pid)[0] == 0
        told = logs.communicate(timeout=60)[0].splitlines()
    assert {word: told.count(word) for word in words} == dict.fromkeys(words, 2)


def test_is_one_that_was_interrupted_waited_for_with_130(
    up: Home, llmos: Command, manifest: str
) -> None:
    with start_llmos(up, "run", manifest, "x", "--model", "slow-model", "--name", "cut") as run:
        assert run.stdout is not None
        assert run.stdout.read(10)
        rows = json.loads(llmos("ps", "--json")[1])["processes"]
        pid = next(str(row["pid"]) for row in rows if row["name"] == "cut")
        assert llmos("kill", pid, "-s", "INT")[0] == 0
        run.communicate(timeout=60)
    assert (run.returncode, llmos("wait", pid)[0]) == (130, 130)


@pytest.mark.parametrize("words", [("ps",), ("run", "MANIFEST", "hello"), ("status",)])
def test_does_it_do_without_a_stdout(up: Home, manifest: str, words: tuple[str, ...]) -> None:
    given = [manifest if word == "MANIFEST" else word for word in words]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "shell", *given]
    done = subprocess.run(
        closed, env=image.environment(up), stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_are_all_events_told_and_then_followed(up: Home, llmos: Command, manifest: str) -> None:
    with start_llmos(up, "events", "-f", "--json") as follower:
        assert follower.stdout is not None
        first = json.loads(follower.stdout.readline())
        assert first["seq"] == 1
        llmos("run", manifest, "x", "--name", "followed")
        seqs, name = [first["seq"]], ""
        while name != "followed":
            event = json.loads(follower.stdout.readline())
            seqs.append(event["seq"])
            name = event["data"].get("name", "")
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=60)
    assert follower.returncode == 130
    assert seqs == list(range(1, len(seqs) + 1))
    kept = json.loads(llmos("events", "--json")[1])
    assert [event["seq"] for event in kept][: len(seqs)] == seqs


def test_does_status_tell_of_all_parts(up: Home, llmos: Command) -> None:
    status, out, _ = llmos("status", "--json")
    told = json.loads(out)
    assert status == 0
    assert {row["name"] for row in told["drivers"]} == {"fake", "slow"}
    assert {row["name"] for row in told["hosts"]} == {"host"}
    assert told["supervisor"] == supervisor_pid(up)
    assert {row["name"] for row in told["services"]} == {"kernel", "fake", "slow", "host"}
    assert "fake-model" in llmos("status")[1]


def test_are_memory_files_and_mail_at_hand(llmos: Command, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    assert llmos("mem", "put", "colour", "the sky is blue")[0] == 0
    status, out, _ = llmos("mem", "search", "sky", "--json")
    assert (status, json.loads(out)["hits"][0]["row"]["key"]) == (0, "colour")
    assert llmos("fs", "write", "/shelf/note.txt", str(tmp_path / "note.txt"))[0] == 0
    assert llmos("fs", "cat", "/shelf/note.txt")[:2] == (0, "hello")
    assert llmos("send", "1", "the deadline is Friday")[0] == 0
    assert llmos("send", "999999", "hello")[0] == 2
    status, out, _ = llmos("approvals", "--json")
    assert (status, json.loads(out)["approvals"]) == (0, [])


def test_does_the_audit_log_verify(llmos: Command) -> None:
    assert llmos("kill", "999999")[0] == 2
    status, out, _ = llmos("audit", "verify", "--json")
    assert (status, json.loads(out)["ok"]) == (0, True)


def test_is_up_content_when_it_is_up_already(llmos: Command) -> None:
    status, out, _ = llmos("up")
    assert status == 0
    assert "up already" in out


def test_does_up_find_the_kernel_again_after_kill_9(up: Home, llmos: Command) -> None:
    before = json.loads(llmos("status", "--json")[1])["kernel"]
    os.kill(before["os_pid"], signal.SIGKILL)
    assert llmos("up", "--detach")[0] == 0
    after = json.loads(llmos("status", "--json")[1])["kernel"]
    assert after["os_pid"] != before["os_pid"]
    assert after["boot"] == before["boot"] + 1
