"""Whose call of a tool comes next, and which driver gets it?"""

import pytest

from kernel.effects import FromClient, Tick
from llmagentos.abi.errors import EBUSY, ENODRIVER
from llmagentos.abi.wire import Message
from tests.kernel.calling import ann, call, error, rig
from tests.kernel.rig import Program, Rig, settled

__all__ = ["ann", "rig"]  # fixtures


def test_do_calls_wait_for_a_slot_in_turn(rig: Rig, ann: Program) -> None:
    tool = rig.tool("tools", "echo", "other", slots=1)
    numbers = [call(ann, name, arguments={"n": n}) for n, name in enumerate(("echo", "other") * 2)]
    order = []
    for _ in numbers:
        job = tool.orders[-1]
        order.append(job.arguments["n"])
        tool.result(job)
    assert order == [0, 1, 2, 3]
    assert all(ann.result(number) for number in numbers)


def test_does_one_busy_driver_not_hold_up_another(rig: Rig, ann: Program) -> None:
    busy, free = rig.tool("busy", slots=1), rig.tool("free", "other")
    call(ann)
    call(ann)
    call(ann, "other")
    assert (len(busy.orders), len(free.orders)) == (1, 1)


def test_is_the_driver_with_the_most_room_taken(rig: Rig, ann: Program) -> None:
    small, large = rig.tool("small", slots=2), rig.tool("large", slots=4)
    for _ in range(3):
        call(ann)
    assert (len(small.orders), len(large.orders)) == (1, 2)
    for _ in range(3):
        call(ann)
    assert (len(small.orders), len(large.orders)) == (2, 4)


def test_is_a_full_queue_refused() -> None:
    rig = settled(queue_limit=2)
    tool = rig.tool("tools", "echo", "other", slots=1)
    ann = Program(rig, "ann", "*")
    waiting = [call(ann) for _ in range(3)]
    with pytest.raises(EBUSY, match="2 calls wait for tool echo"):
        ann.call("tool.call", name="echo")
    assert ann.account("tool_calls").reserved == 3
    assert ann.reply(call(ann, "other")) is None, "it has a queue of its own"
    tool.result(tool.orders[0])
    assert ann.result(waiting[0])
    assert ann.reply(call(ann)) is None


def test_are_as_many_taken_at_once_as_there_are_slots_and_places() -> None:
    rig = settled(queue_limit=2)
    tool = rig.tool(slots=3)
    ann = Program(rig, "ann", "*")
    for number in range(900, 906):
        message = Message("call", number, "tool.call", ann.session, {"name": "echo"})
        rig.machine.apply(FromClient(ann.peer, message), rig.now)
    rig.put_in(Tick())
    assert len(tool.orders) == 3
    assert [number for number in range(900, 906) if ann.reply(number)] == [905]
    assert error(ann, 905) == "EBUSY"


def test_does_a_drained_driver_get_nothing_new(rig: Rig, ann: Program) -> None:
    tool = rig.tool(slots=1)
    running, waiting = call(ann), call(ann)
    rig.call("drv.drain", name="tools")
    assert error(ann, waiting) == "ENODRIVER"
    with pytest.raises(ENODRIVER) as caught:
        ann.call("tool.call", name="echo")
    assert "tools is draining" in caught.value.hint
    tool.result(tool.orders[0], "done")
    assert ann.result(running)["content"] == "done"
    assert len(tool.orders) == 1
    rig.call("drv.drain", name="tools", on=False)
    call(ann)
    assert len(tool.orders) == 2


def test_do_tools_come_and_go_with_beats(rig: Rig, ann: Program) -> None:
    """What is at work goes on; what waits for one that is gone is told."""
    tool = rig.tool(slots=1)
    works, waits = call(ann), call(ann)
    tool.beat(tools=[{"name": "new"}])
    there = rig.call("tool.list", names=["new", "echo"])["tools"]
    assert [one["name"] for one in there] == ["new"]
    assert error(ann, waits) == error(ann, call(ann)) == "ENOENT"
    assert ann.reply(works) is None
    tool.result(tool.orders[0], "done")
    done = ann.reply(works)
    assert done is not None
    assert done["result"]["content"] == "done"
    call(ann, "new")
    assert tool.orders[-1].tool == "new"
    tool.beat()
    there = rig.call("tool.list", names=["new", "echo"])["tools"]
    assert [one["name"] for one in there] == ["new"]
