"""What a signal does to a process, its tree, its calls and its bursts."""

import pytest

from llmagentos.abi.errors import EINVAL, EPERM, ESRCH
from tests.kernel.rig import Rig, agent


def test_is_a_kill_of_a_tree_one_step(rig: Rig) -> None:
    host = rig.host()
    allowed = {"allow": ["proc:spawn"]}
    parent = rig.spawn(agent(capabilities=allowed))
    child = host.result_of(host.act(parent, "proc.spawn", manifest=agent("child")))["pid"]
    victims = rig.call("proc.kill", pid=parent, signal="KILL", tree=True)["signalled"]
    assert victims == [parent, child]
    assert rig.state(parent) == rig.state(child) == "ZOMBIE"
    assert {body.pid for body in host.heard("signal")} == {parent, child}


def test_does_term_become_kill_after_the_grace(rig: Rig) -> None:
    host = rig.host()
    pid = rig.spawn()
    rig.call("proc.kill", pid=pid)
    assert [body.signal for body in host.heard("signal")] == ["TERM"]
    rig.wait(rig.config.term_grace - 0.1)
    assert rig.state(pid) == "READY"
    rig.wait(0.2)
    assert rig.call("proc.wait", pid=pid)["signal"] == "KILL"


def test_does_int_cancel_the_call_in_flight_only(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    call = host.act(pid, "llm.generate")
    rig.call("proc.kill", pid=pid, signal="INT")
    assert host.error_of(call)["code"] == "ECANCELED"
    assert [ref.burst for ref in driver.heard("cancel")] == [driver.started[0].burst]
    assert rig.state(pid) == "READY"


def test_does_stop_hold_the_burst_and_cont_resume_it_where_it_was(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    call = host.act(pid, "llm.generate")
    driver.report(driver.started[0], "one ", prompt=3)
    rig.call("proc.kill", pid=pid, signal="STOP")
    assert rig.state(pid) == "STOPPED"
    assert len(driver.heard("preempt")) == 1
    rig.call("proc.kill", pid=pid, signal="CONT")
    assert rig.state(pid) == "RUNNING"
    assert len(driver.heard("resume")) == 1
    assert len(driver.started) == 1, "it was prefilled a second time"
    driver.report(driver.started[0], "two", index=1, finish="stop")
    assert host.result_of(call)["text"] == "one two"


def test_does_a_stopped_process_hear_nothing_until_it_goes_on(rig: Rig) -> None:
    driver, host = rig.driver(), rig.host()
    pid = rig.spawn()
    call = host.act(pid, "llm.generate")
    rig.call("proc.kill", pid=pid, signal="STOP")
    # The last token was on its way already when the STOP came.
    driver.answer("done")
    assert host.reply(call) is None
    rig.call("proc.kill", pid=pid, signal="CONT")
    assert host.reply(call) is not None


def test_does_a_slot_go_to_another_while_its_process_is_stopped(rig: Rig) -> None:
    driver, host = rig.driver(slots=1), rig.host()
    first, second = rig.spawn(), rig.spawn()
    host.act(first, "llm.generate")
    host.act(second, "llm.generate")
    assert rig.state(second) == "READY"
    rig.call("proc.kill", pid=first, signal="STOP")
    assert rig.state(second) == "RUNNING"
    rig.call("proc.kill", pid=first, signal="CONT")
    assert rig.state(first) == "READY"
    driver.answer()
    assert rig.state(first) == "RUNNING"


def test_can_nobody_signal_init_or_the_dead(rig: Rig) -> None:
    host = rig.host()
    with pytest.raises(EPERM):
        rig.call("proc.kill", pid=1)
    pid = rig.spawn()
    host.act(pid, "proc.exit")
    with pytest.raises(ESRCH):
        rig.call("proc.kill", pid=pid)
    with pytest.raises(EINVAL):
        rig.call("proc.exit")
