"""Has a call of a tool one end, which is told, and is it never made a second time?"""

import pytest

from kernel.ledger import Account
from llmagentos.abi.errors import EDRIVER
from tests.kernel.calling import ann, call, error, rig, used
from tests.kernel.rig import Program, Rig

__all__ = ["ann", "rig"]  # fixtures


def test_is_a_call_that_takes_too_long_aborted(rig: Rig, ann: Program) -> None:
    tool = rig.tool(slots=1)
    slow, next = call(ann, timeout=5, id=900), call(ann, timeout=5)
    rig.wait(4)
    assert ann.reply(slow) is None
    rig.wait(2)
    assert error(ann, slow) == "ETIMEOUT"
    assert tool.aborted == [tool.orders[0].job]
    assert len(tool.orders) == 2, "its slot is free"
    assert ann.reply(next) is None, "its time begins with its start"
    assert ann.account("tool_calls") == Account(spent=1, reserved=1)
    tool.result(tool.orders[0], "late")
    call(ann, timeout=5, id=900)
    assert error(ann, slow) == "ETIMEOUT", "it may have done something: not again"
    assert len(tool.orders) == 2


@pytest.mark.parametrize("how", ["INT", "KILL", "gone"])
def test_is_a_call_that_nobody_waits_for_aborted(rig: Rig, ann: Program, how: str) -> None:
    tool, bob = rig.tool(slots=1), Program(rig, "bob", "*")
    for _ in range(3):
        call(ann)
    after = call(bob)
    if how == "gone":
        rig.drop_client(ann.peer)
    else:
        rig.call("proc.kill", pid=ann.pid, signal=how)
    assert tool.aborted == [tool.orders[0].job]
    assert [order.pid for order in tool.orders] == [ann.pid, bob.pid], "what waited must not start"
    assert ann.account("tool_calls") == Account(spent=1)
    tool.result(tool.orders[0], "late")
    assert bob.reply(after) is None
    tool.result(tool.orders[1], "mine")
    assert bob.result(after)["content"] == "mine"


def test_does_a_stopped_process_get_its_result_when_it_goes_on(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann)
    rig.call("proc.kill", pid=ann.pid, signal="STOP")
    assert not tool.aborted
    tool.result(tool.orders[0], "done")
    assert ann.reply(number) is None
    rig.call("proc.kill", pid=ann.pid, signal="CONT")
    assert ann.result(number)["content"] == "done"


@pytest.mark.parametrize("how", ["dies", "falls silent", "registers anew", "talks nonsense"])
def test_does_a_call_fail_whose_driver_is_lost(rig: Rig, ann: Program, how: str) -> None:
    first, second = rig.tool("a", slots=1), rig.tool("b", slots=1)
    number, other, waiting = call(ann, id=900), call(ann), call(ann)
    old = first.orders[0]
    if how == "dies":
        first.die()
    elif how == "falls silent":
        first.hang()
        rig.wait(rig.config.silence + 2)
    elif how == "registers anew":
        first.say("register", first.card)
    else:
        first.say("result", {"job": "which?"})
    with pytest.raises(EDRIVER, match="driver a died while it worked on tool echo"):
        ann.result(number)
    first.result(old, "late")
    call(ann, id=900)
    assert error(ann, number) == "EDRIVER", "it may have done something: not again"
    second.result(second.orders[0], "fine")
    assert ann.result(other)["content"] == "fine"
    assert ann.reply(waiting) is None, "it never began, so it may go elsewhere"
    assert ann.account("tool_calls") == Account(spent=2, reserved=1)


def test_do_those_that_wait_fail_when_no_driver_is_left(rig: Rig, ann: Program) -> None:
    tool = rig.tool(slots=1)
    running, waiting = call(ann), call(ann)
    tool.die()
    assert [error(ann, running), error(ann, waiting)] == ["EDRIVER", "ENODRIVER"]
    assert ann.account("tool_calls") == Account(spent=1)
    assert rig.state(ann.pid) == "READY"
    assert not list(rig.machine.jobs)


def test_is_a_result_from_the_wrong_driver_ignored(rig: Rig, ann: Program) -> None:
    right, wrong = rig.tool("a"), rig.tool("b", "other")
    number = call(ann)
    wrong.result(right.orders[0], "forged")
    assert ann.reply(number) is None
    right.result(right.orders[0], "true")
    right.result(right.orders[0], "twice")
    assert ann.result(number)["content"] == "true"


# -- crashes -----------------------------------------------------------------------------------


def test_is_a_call_that_is_over_not_made_again_after_a_crash(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann, id=900)
    tool.result(tool.orders[0], "once")
    first = ann.result(number)
    rig.beating.clear()
    rig.crash()
    tool = rig.tool()
    call(ann, id=900)
    assert ann.result(900) == first
    assert not tool.orders
    assert used(rig, ann.pid) == 1


def test_can_a_tool_tell_that_a_call_is_a_repeat(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    call(ann, id=900)
    call(ann, id=901)
    keys = [order.key for order in tool.orders]
    rig.beating.clear()
    rig.crash()
    assert ann.account("tool_calls") == Account(), "the repeat pays for it"
    call(ann, id=900)
    assert rig.state(ann.pid) == "WAITING(tool)", "its driver is on its way"
    tool.register()
    (order,) = tool.orders
    assert order.key == keys[0] != keys[1]
    tool.result(order, "done")
    assert ann.result(900)["content"] == "done"
    assert used(rig, ann.pid) == 1


def test_has_a_client_that_cannot_repeat_a_key_of_its_own_each_time(rig: Rig) -> None:
    tool = rig.tool()
    for _ in range(2):
        rig.send("tool.call", name="echo", peer=b"\0abc", id=1)
        tool.result(tool.orders[-1])
    assert tool.orders[0].key != tool.orders[1].key
    rig.send("tool.call", name="echo", peer=b"shell", id=1)
    assert tool.orders[2].key not in {order.key for order in tool.orders[:2]}
