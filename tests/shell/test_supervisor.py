"""Does the supervisor keep a system running, and take all of it down? With stand-ins."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from shell.lock import supervisor_pid
from shell.service import LOG_LIMIT, LONGEST_BACKOFF, QUICK_DEATHS, Program, Service, rotate
from shell.supervisor import LEFT_ALONE
from tests.shell.standins import Supervised, lives, until

Start = Callable[..., Supervised]
DYING = "edge: there is no KEY in the environment"
SLEEP = "exec sleep 60"


def _lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def test_is_one_that_dies_started_again_ever_later_and_then_given_up(
    supervised: Start, tmp_path: Path
) -> None:
    born = tmp_path / "born"
    supervisor = supervised(others={"edge": f"date +%s.%N >> {born}; echo '{DYING}' >&2; exit 4"})
    until(lambda: supervisor.services.get("edge", {}).get("given_up"))
    assert repr(DYING) in supervisor.services["edge"]["given_up"]
    times = [float(line) for line in _lines(born)]
    assert len(times) == QUICK_DEATHS
    pauses = [after - before for before, after in itertools.pairwise(times)]
    # Later it may be, on a busy machine, but never sooner.
    assert all(p > least for p, least in zip(pauses, (0.19, 0.39, 0.79, 1.59), strict=True))
    assert "edge ended: exit code 4" in supervisor.log
    assert "edge is given up" in supervisor.log
    assert lives(supervisor.pid_of("kernel"))

    supervisor.signal(signal.SIGHUP)
    until(lambda: len(_lines(born)) > QUICK_DEATHS)


def test_is_a_kernel_on_a_full_disk_never_given_up(supervised: Start, tmp_path: Path) -> None:
    born = tmp_path / "born"
    supervisor = supervised(f"echo born >> {born}; exit 4")
    until(lambda: len(_lines(born)) >= QUICK_DEATHS)
    until(lambda: supervisor.log.count("the disk is full") >= QUICK_DEATHS)
    time.sleep(0.2)
    assert supervisor.process.poll() is None
    assert not supervisor.services["kernel"]["given_up"]
    assert "given up" not in supervisor.log


def test_is_what_is_withheld_not_in_its_environment(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo ${SEEN-none} ${KEY-none}"]
    program = Program("edge", command, withheld=frozenset({"KEY"}))
    service = Service(program, tmp_path, {"SEEN": "yes", "KEY": "secret"})
    service.start()
    until(lambda: service.ended() is not None)
    assert service.log.read_text() == "yes none\n"


def test_does_the_back_off_stay_within_its_bound_for_ever(tmp_path: Path) -> None:
    service = Service(Program("kernel", ["/bin/true"]), tmp_path, {})
    service.start()
    until(lambda: service.ended() is not None)
    service.deaths = 5000
    assert service.back_off() == LONGEST_BACKOFF


def test_is_a_kernel_that_was_killed_started_again(supervised: Start) -> None:
    supervisor = supervised(others={"edge": SLEEP})
    first, edge = supervisor.pid_of("kernel"), supervisor.pid_of("edge")
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.services["kernel"]["pid"] not in (first, None))
    assert supervisor.services["kernel"]["restarts"] == 1
    assert supervisor.pid_of("edge") == edge
    assert "kernel ended: killed by SIGKILL" in supervisor.log


def test_does_a_kernels_good_end_take_the_system_down(supervised: Start, tmp_path: Path) -> None:
    shutdown = tmp_path / "shutdown"
    kernel = f"while [ ! -e {shutdown} ]; do sleep 0.05; done"
    supervisor = supervised(kernel, {"edge": SLEEP})
    edge = supervisor.pid_of("edge")
    shutdown.touch()
    assert supervisor.ended() == 0
    assert not lives(edge)


def test_does_the_supervisor_end_when_another_kernel_has_the_home(supervised: Start) -> None:
    supervisor = supervised("exit 3", {"edge": SLEEP})
    edge = supervisor.pid_of("edge")
    assert supervisor.ended() == 3
    assert not lives(edge)


def test_do_drivers_go_first_and_the_kernel_last(supervised: Start, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def stays(name: str, seconds: float) -> str:
        leave = f"sleep {seconds}; echo {name} >> {order}; exit 0"
        return f"trap '{leave}' TERM; touch {tmp_path}/{name}; while :; do sleep 0.05; done"

    supervisor = supervised(stays("kernel", 0), {"edge": stays("edge", 0.3)})
    until(lambda: (tmp_path / "edge").exists() and (tmp_path / "kernel").exists())
    supervisor.signal(signal.SIGTERM)
    assert supervisor.ended() == 0
    assert _lines(order) == ["edge", "kernel"]


def test_does_the_end_of_its_parent_hurry_nobody_however_often_it_is_told(
    supervised: Start, tmp_path: Path
) -> None:
    ready, left = tmp_path / "ready", tmp_path / "left"
    slow = (
        f"trap 'sleep 0.5; touch {left}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    )
    supervisor = supervised(others={"edge": slow})
    until(ready.exists)
    for _ in range(3):
        supervisor.signal(LEFT_ALONE)
        time.sleep(0.1)
    assert supervisor.ended() == 0
    assert left.exists()
    assert "killing it" not in supervisor.log


def test_is_one_that_ignores_term_killed_with_what_it_has_started(
    supervised: Start, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    stubborn = f"trap '' TERM; sleep 60 & echo $$ $! > {pids}; while :; do sleep 0.05; done"
    supervisor = supervised(others={"edge": stubborn})
    until(lambda: len(_lines(pids)) == 2)
    supervisor.signal(signal.SIGTERM)
    time.sleep(0.3)
    assert supervisor.process.poll() is None
    supervisor.signal(signal.SIGTERM)
    assert supervisor.ended() == 0, "long before its patience is at an end"
    until(lambda: not any(lives(int(pid)) for pid in _lines(pids)))


def test_does_nothing_outlive_a_supervisor_that_got_kill_9(supervised: Start) -> None:
    supervisor = supervised(others={"edge": SLEEP, "host": SLEEP})
    pids = [supervisor.pid_of(name) for name in ("kernel", "edge", "host")]
    supervisor.signal(signal.SIGKILL)
    until(lambda: not any(lives(pid) for pid in pids))
    assert supervisor_pid(supervisor.home) is None


def test_do_drivers_wait_until_the_kernel_listens(supervised: Start, tmp_path: Path) -> None:
    listening = tmp_path / "listening"
    supervisor = supervised(others={"edge": SLEEP}, listening_when=str(listening))
    supervisor.pid_of("kernel")
    time.sleep(0.3)
    assert "edge" not in supervisor.services
    listening.touch()
    assert supervisor.pid_of("edge")


def test_is_the_kernel_taken_down_when_the_configuration_is_bad(supervised: Start) -> None:
    supervisor = supervised(bad_plan=True)
    assert supervisor.ended() == 2
    assert "line 3 is wrong" in supervisor.log
    assert "kernel ended: killed by SIGTERM" in supervisor.log


def test_is_there_only_one_supervisor_and_is_its_pid_known(supervised: Start) -> None:
    first = supervised()
    first.pid_of("kernel")
    assert supervisor_pid(first.home) == first.process.pid
    assert supervised().ended() == 77
    first.signal(signal.SIGTERM)
    first.ended()
    assert supervisor_pid(first.home) is None


def test_are_what_programs_say_and_their_exit_codes_kept(supervised: Start) -> None:
    supervisor = supervised(others={"edge": "echo to stdout; echo to stderr >&2; exit 9"})
    log = supervisor.home.logs / "edge.log"
    until(lambda: log.exists() and "to stderr" in log.read_text())
    assert "to stdout" in log.read_text()
    until(lambda: "edge ended: exit code 9" in supervisor.log)


def test_is_a_long_log_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "edge.log"
    log.write_bytes(b"x" * LOG_LIMIT)
    rotate(log)
    assert log.exists()
    log.write_bytes(b"x" * (LOG_LIMIT + 1))
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "edge.log.1").stat().st_size == LOG_LIMIT + 1


def test_does_it_sleep_while_nothing_happens(supervised: Start) -> None:
    supervisor = supervised(others={"edge": SLEEP})
    supervisor.pid_of("edge")

    def sleeps() -> bool:
        before = _cpu_ticks(supervisor.process.pid)
        time.sleep(1.0)
        return _cpu_ticks(supervisor.process.pid) == before

    assert any(sleeps() for _ in range(10)), "sooner or later; it has something to do at first"


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
