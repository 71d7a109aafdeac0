"""Do agents get the tools of real MCP servers, through a real kernel and a real driver?"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmagentos import System
from llmagentos.abi.errors import EDRIVER, EINVAL, ELABEL, ENOENT, ETIMEOUT
from llmagentos.home import Home
from tests.drivers.mcp.conftest import command
from tests.drivers.mcp.test_lives import alive
from tests.system.machines import Machines, agent, eventually


def run(machines: Machines, name: str, words: list[str], *options: str) -> Any:
    return machines.start(
        "-m", "drivers.mcp", "--name", name, "--no-parent", "--stdio", shlex.join(words), *options
    )


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A kernel with four MCP drivers: the time, a repository, files, and the scripted one."""
    folder = tmp_path_factory.mktemp("mcp")
    repository = folder / "repository"
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(repository)], check=True)
    (repository / "note.txt").write_text("hello\n")
    machines = Machines(Home(folder / "h"))
    try:
        machines.start_kernel()
        python = [sys.executable, "-m"]
        drivers = {
            "time": run(machines, "time", [*python, "mcp_server_time"], "--label", "work"),
            "git": run(
                machines, "git", [*python, "mcp_server_git", "--repository", str(repository)],
                "--result-label", "work",
            ),
            "files": run(machines, "files", [*python, "filesystem_mcp", str(repository)]),
            "scripted": run(machines, "scripted", command()),
        }  # fmt: skip
        for name, process in drivers.items():
            machines.await_driver(name, process.pid)
        yield machines
    finally:
        machines.close()


@pytest.fixture
def user(machines: Machines) -> Iterator[System]:
    with machines.user() as user:
        yield user


def call(system: System, name: str, timeout: float = 60, **arguments: Any) -> dict[str, Any]:
    return system.call("tool.call", name=name, arguments=arguments, timeout=timeout)


def driver(user: System, name: str) -> dict[str, Any]:
    return next(row for row in user.call("drv.list")["drivers"] if row["name"] == name)


def test_is_the_time_told(user: System) -> None:
    tools = {tool["name"]: tool for tool in user.call("tool.list")["tools"]}
    schema = tools["time.get_current_time"]["parameters"]
    assert schema["required"] == ["timezone"]
    assert "current time" in tools["time.get_current_time"]["description"]
    content = call(user, "time.get_current_time", timezone="Asia/Kolkata")["content"]
    told = datetime.fromisoformat(content["structuredContent"]["datetime"])
    assert told.utcoffset() == timedelta(hours=5, minutes=30)
    assert abs(told.timestamp() - time.time()) < 60
    with pytest.raises(EINVAL, match="Invalid timezone"):
        call(user, "time.get_current_time", timezone="Atlantis/Capital")
    assert "mcp-time" in driver(user, "time")["note"]


def test_is_a_repository_worked_on(machines: Machines, user: System) -> None:
    repository = str(machines.home.root.parent / "repository")
    status = call(user, "git.git_status", repo_path=repository)
    assert "note.txt" in status["content"]["content"][0]["text"]
    assert status["labels"] == ["work"]
    call(user, "git.git_add", repo_path=repository, files=["note.txt"])
    status = call(user, "git.git_status", repo_path=repository)
    assert "new file:   note.txt" in status["content"]["content"][0]["text"]
    with pytest.raises(EINVAL, match=r"git\.git_status says"):
        call(user, "git.git_status", repo_path="/")


def test_does_an_agent_work_on_files(machines: Machines, user: System) -> None:
    repository = machines.home.root.parent / "repository"
    inside, outside = str(repository / "cat.txt"), str(repository.parent / "cat.txt")

    def wish(tool: str, **arguments: str) -> dict[str, str]:
        return {"name": f"files.{tool}", "arguments": json.dumps(arguments)}

    turns = [
        {"calls": [wish("write_file", path=inside, content="Ilse")]},
        {"calls": [wish("read_file", path=inside)]},
        {"calls": [wish("write_file", path=outside, content="Ilse")]},
        {"text": "Her name is Ilse."},
    ]
    driver = machines.start_driver("--turns", json.dumps(turns), "--model", "clerk", name="clerk")
    machines.start_host("clerks")
    manifest = agent(tools=[{"mcp": "files"}], model="clerk")
    pid = user.call("proc.spawn", manifest=manifest, text="go")["pid"]
    ended = eventually(lambda: user.call("proc.info", pid=pid)["process"]["exit"])
    driver.terminate()
    assert ended["answer"] == "Her name is Ilse."
    messages = user.call("ctx.read", pid=pid)["messages"]
    _, read, refused = (one["content"] for one in messages if one["role"] == "tool")
    assert "Ilse" in read
    assert refused.startswith("EINVAL: files.write_file says: ")
    assert Path(inside).read_text() == "Ilse"
    assert not Path(outside).exists()


def test_do_labels_hold(machines: Machines) -> None:
    """Who reads what is labelled is labelled, and then calls only what may see that."""
    with machines.program() as program:
        call(program, "scripted.echo", text="")
        repository = str(machines.home.root.parent / "repository")
        call(program, "git.git_status", repo_path=repository)
        call(program, "time.get_current_time", timezone="UTC")
        with pytest.raises(ELABEL, match="work"):
            call(program, "scripted.echo", text="")


def test_does_an_agent_have_the_tools_of_the_server_that_it_names(
    machines: Machines, user: System
) -> None:
    """``{mcp: time}`` means all of that driver, and no others."""
    wanted = {"name": "time.get_current_time", "arguments": '{"timezone": "Asia/Tokyo"}'}
    other = {"name": "scripted.echo", "arguments": '{"text": "x"}'}
    turns = [{"text": "", "calls": [wanted, other]}, {"text": "it is late"}]
    machines.start_driver("--turns", json.dumps(turns), "--label", "work")
    machines.start_host()
    pid = user.call("proc.spawn", manifest=agent(tools=[{"mcp": "time"}]), text="go")["pid"]
    ended = eventually(lambda: user.call("proc.info", pid=pid)["process"]["exit"])
    assert ended["answer"] == "it is late"
    messages = user.call("ctx.read", pid=pid)["messages"]
    told, refused = (one["content"] for one in messages if one["role"] == "tool")
    assert "+09:00" in told
    assert "EPERM" in refused


def test_does_a_killed_server_come_back(machines: Machines, user: System, tmp_path: Path) -> None:
    log = tmp_path / "log"
    heard: list[Any] = []

    def hang() -> None:
        with machines.user() as other, pytest.raises(EDRIVER) as caught:
            call(other, "scripted.hang", log=str(log))
        heard.append(caught.value)

    thread = threading.Thread(target=hang)
    thread.start()
    eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    server = int(log.read_text())
    os.kill(server, signal.SIGKILL)
    thread.join(60)
    # The driver gives it a second to be collected, to be able to tell how it ended.
    told = ("it was killed by SIGKILL", "it closed its output")
    assert any(f"scripted.hang: {how}" in heard[0].message for how in told), heard[0].message
    # Waits for the new one, if it must.
    again = call(user, "scripted.whoami")["content"]["structuredContent"]
    assert again["pid"] != server
    assert driver(user, "scripted")["state"] == "ready"


def test_does_a_hanging_call_end_alone(machines: Machines, user: System, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with machines.program() as other:
        hung = other.open("tool.call", name="scripted.hang", arguments={"log": str(log)})
        eventually(log.exists)
        assert call(user, "scripted.echo", text="meanwhile")["content"]
        assert other.info().process.state == "WAITING", "it hangs as before"
        assert not hung.done
    # Its process ended with its connection, and its call with it.
    eventually(lambda: "cancelled" in log.read_text())
    with pytest.raises(ETIMEOUT, match=r"took longer than 0\.5 s"):
        call(user, "scripted.hang", timeout=0.5, log=str(tmp_path / "another"))


def test_do_changes_reach_the_kernel(machines: Machines, user: System, tmp_path: Path) -> None:
    """And what is in flight goes on."""
    log = tmp_path / "log"
    heard: list[Any] = []

    def linger() -> None:
        with machines.user() as other:
            heard.append(call(other, "scripted.linger", log=str(log)))

    thread = threading.Thread(target=linger)
    thread.start()
    eventually(log.exists)
    with pytest.raises(ENOENT):
        call(user, "scripted.extra")
    call(user, "scripted.change")

    def tools() -> set[str]:
        return {tool["name"] for tool in user.call("tool.list")["tools"]}

    eventually(lambda: "scripted.extra" in tools())
    assert call(user, "scripted.extra")["content"]["content"][0]["text"] == "extra"
    call(user, "scripted.change", remove=True)
    eventually(lambda: "scripted.extra" not in tools())
    assert not heard
    log.write_text("begun\nnow end\n")
    thread.join(60)
    assert heard[0]["content"]["content"][0]["text"] == "over"


def test_does_the_kernel_restart_under_it(machines: Machines) -> None:
    machines.kill_kernel()
    machines.start_kernel()
    with machines.user() as user:

        def added() -> Any:
            try:
                return call(user, "scripted.add", a=1)["content"]["structuredContent"]
            except ENOENT:  # its driver takes long to find the kernel
                return None

        assert eventually(added) == {"result": 2}


def test_does_a_broken_server_fail_calls_at_once(machines: Machines, user: System) -> None:
    run(machines, "broken", [sys.executable, "-c", "raise SystemExit(4)"])

    def state() -> str:
        rows = [row for row in user.call("drv.list")["drivers"] if row["name"] == "broken"]
        return rows[0]["state"] if rows else ""

    eventually(lambda: state() == "failed")
    assert "it ended with exit status 4; tried again in" in driver(user, "broken")["note"]


def test_does_the_server_die_with_its_driver(machines: Machines, user: System) -> None:
    process = run(machines, "brief", command())
    machines.await_driver("brief", process.pid)
    server = call(user, "brief.whoami")["content"]["structuredContent"]["pid"]
    process.kill()
    process.wait(30)
    eventually(lambda: not alive(server))
