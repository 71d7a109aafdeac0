"""How a host starts, is told what to run, and ends, seen from the kernel's side of the socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmagentos.home import Home
from tests.agents.scripted_kernel import SERVICE_KEY, Call, ScriptedKernel

Process = subprocess.Popen[str]
ROOT = Path(__file__).parents[2]
PROMPT = (("system", "Summarise."), ("user", "A long text."))


def generating(kernel: ScriptedKernel, pid: int) -> Call:
    """Bring an agent as far as its LLM call."""
    kernel.assign(pid)
    kernel.context(*PROMPT)
    return kernel.call("llm.generate")


def test_does_a_host_register_and_beat(
    kernel: ScriptedKernel, launch: Callable[..., Process]
) -> None:
    host = launch("--slots", "3")
    message = kernel.hear("register")
    assert message.session == SERVICE_KEY
    told = {key: message.body[key] for key in ("name", "kind", "slots", "state", "running")}
    assert told == {"name": "h1", "kind": "host", "slots": 3, "state": "ready", "running": []}
    assert message.body["os_pid"] == host.pid
    kernel.tell("welcome", boot=1, beat_interval=0.05)
    began = time.monotonic()
    for _ in range(30):
        assert kernel.hear("beat").session == SERVICE_KEY
    assert time.monotonic() - began < 25, "it beats as often as it was told to, not each second"


@pytest.mark.usefixtures("host")
def test_does_a_host_that_is_asked_who_it_is_say_what_it_runs(kernel: ScriptedKernel) -> None:
    call = generating(kernel, 9)
    generating(kernel, 7)
    kernel.tell("who")
    assert kernel.welcome()["running"] == [7, 9]
    kernel.generated(call, "Short.")
    kernel.answer(kernel.call("proc.exit"))
    kernel.hear("beat")
    kernel.tell("who")
    assert kernel.welcome()["running"] == [7]


@pytest.mark.usefixtures("host")
def test_is_a_question_that_crosses_the_registration_not_answered_twice(
    kernel: ScriptedKernel,
) -> None:
    for _ in range(3):
        kernel.tell("who")
    kernel.welcome()
    generating(kernel, 7)
    kernel.tell("who")
    assert kernel.welcome()["running"] == [7], "the next question is answered again"


@pytest.mark.usefixtures("host")
def test_do_agents_live_through_a_restart_of_the_kernel(kernel: ScriptedKernel, home: Home) -> None:
    before = generating(kernel, 7)
    kernel.close()
    second = ScriptedKernel(home)
    try:
        repeated = second.call("llm.generate")
        assert repeated.message == before.message, "a repeat has its own id, session and body"
        second.hear("beat")
        second.tell("who")
        assert second.welcome(boot=2)["running"] == [7]
        second.generated(repeated, "Short.")
        assert second.call("proc.exit").args["answer"] == "Short."
    finally:
        second.close()


@pytest.mark.usefixtures("host")
def test_does_term_end_an_agent_with_143(kernel: ScriptedKernel) -> None:
    generating(kernel, 7)
    kernel.signal(7, "TERM")
    leave = kernel.call("proc.exit")
    kernel.signal(7, "TERM")
    assert leave.args["code"] == 143
    assert leave.args["error"]["code"] == "ECANCELED"
    assert kernel.is_quiet(), "a second TERM changes nothing"
    kernel.tell("who")
    assert kernel.welcome()["running"] == [7], "until the exit is confirmed"


def test_is_it_term_even_if_the_cancelled_call_is_heard_of_first(
    kernel: ScriptedKernel, launch: Callable[..., Process]
) -> None:
    launch(first="import agents.loop; agents.loop._TERM_GRACE = 30.0")
    kernel.welcome()
    kernel.fail(generating(kernel, 7), "ECANCELED")
    time.sleep(0.05)
    kernel.signal(7, "TERM")
    assert kernel.call("proc.exit").args["code"] == 143


@pytest.mark.usefixtures("host")
def test_does_kill_drop_an_agent_without_a_word(kernel: ScriptedKernel) -> None:
    call = generating(kernel, 7)
    kernel.signal(7, "KILL")
    kernel.fail(call, "ECANCELED")
    assert kernel.is_quiet()
    kernel.tell("who")
    assert kernel.welcome()["running"] == []


@pytest.mark.usefixtures("host")
def test_are_other_signals_left_to_the_kernel(kernel: ScriptedKernel) -> None:
    call = generating(kernel, 7)
    for name in ("INT", "STOP", "CONT"):
        kernel.signal(7, name)
    kernel.signal(8, "TERM")
    assert kernel.is_quiet()
    kernel.generated(call, "Short.")
    assert kernel.call("proc.exit").args["code"] == 0


@pytest.mark.usefixtures("host")
def test_is_an_assignment_that_comes_twice_run_once(kernel: ScriptedKernel) -> None:
    call = generating(kernel, 7)
    kernel.assign(7)
    assert kernel.is_quiet()
    kernel.generated(call, "Short.")
    assert kernel.call("proc.exit").args["answer"] == "Short."


@pytest.mark.usefixtures("host")
def test_does_a_new_session_replace_the_old_one(kernel: ScriptedKernel) -> None:
    old = generating(kernel, 7)
    kernel.assign(7, "fresh")
    assert kernel.context(*PROMPT).session == "fresh"
    fresh = kernel.call("llm.generate")
    kernel.tell("who")
    assert kernel.welcome()["running"] == [7], "the end of the old task is not the process's"
    kernel.generated(old, "from the old one")
    kernel.generated(fresh, "from the new one")
    leave = kernel.call("proc.exit")
    assert (leave.session, leave.args["answer"]) == ("fresh", "from the new one")
    assert kernel.is_quiet()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_does_a_host_end_cleanly_and_leave_its_agents_to_the_next(
    kernel: ScriptedKernel, host: Process, number: signal.Signals
) -> None:
    generating(kernel, 7)
    host.send_signal(number)
    _, log = host.communicate(timeout=60)
    assert host.returncode == 0
    assert "Traceback" not in log
    assert kernel.is_quiet(), "no agent exits because its host does"


def test_does_a_refused_host_say_why_and_fail(
    kernel: ScriptedKernel, launch: Callable[..., Process]
) -> None:
    host = launch()
    kernel.hear("register")
    kernel.tell("refuse", code="EAUTH", message="the key is not ours", hint="start it with llmos")
    _, log = host.communicate(timeout=60)
    assert host.returncode == 4
    assert log.splitlines()[-1] == (
        "agent host h1: the key is not ours (EAUTH); start it with llmos"
    )


def test_does_a_host_without_a_system_say_so(launch: Callable[..., Process]) -> None:
    host = launch()
    _, log = host.communicate(timeout=60)
    assert host.returncode == 3
    assert "there is no system in" in log
    assert "Traceback" not in log


def test_is_a_senseless_name_refused_in_one_line(
    kernel: ScriptedKernel, launch: Callable[..., Process]
) -> None:
    host = launch("--name", "no/name")
    _, log = host.communicate(timeout=60)
    assert host.returncode == 2
    assert "Traceback" not in log


def test_does_a_message_that_makes_no_sense_hurt_nobody(
    kernel: ScriptedKernel, host: Process
) -> None:
    kernel.tell("assign", pid="seven")
    kernel.tell("dance")
    call = generating(kernel, 7)
    kernel.generated(call, "Short.")
    assert kernel.call("proc.exit").args["code"] == 0


def test_does_a_host_end_with_its_parent_unless_told_otherwise(home: Home) -> None:
    script = (
        "import subprocess, sys, time\n"
        "for name in ('dependent', '--no-parent'):\n"
        "    options = ['--name', 'h1'] if name == 'dependent' else ['--name', 'h2', name]\n"
        "    subprocess.Popen([sys.executable, '-m', 'agents', *options])\n"
        "time.sleep(60)\n"
    )
    kernel = ScriptedKernel(home)
    environment = {**os.environ, "LLMOS_HOME": str(home.root)}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=ROOT)
    both = [kernel.welcome() for _ in range(2)]
    pids = {registration["name"]: registration["os_pid"] for registration in both}
    parent.kill()
    parent.wait()
    try:
        deadline = time.monotonic() + 30
        while is_running(pids["h1"]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(pids["h1"])
        assert is_running(pids["h2"])
    finally:
        kernel.close()
        for pid in filter(is_running, pids.values()):
            os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """A zombie whose new parent has not collected it runs no more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
