"""Does a call of a tool reach it, and its result the caller?"""

from typing import Any

import pytest

from kernel.ledger import Account
from llmagentos.abi.errors import EDRIVER, EINVAL, ENODRIVER, ENOENT
from tests.kernel.calling import ann, call, error, rig, used
from tests.kernel.rig import Program, Rig

__all__ = ["ann", "rig"]  # fixtures


def test_does_a_call_reach_the_tool_and_its_result_the_caller(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann, arguments={"text": ["hi", 1, None]})
    (order,) = tool.orders
    assert (order.tool, order.pid, order.arguments) == ("echo", ann.pid, {"text": ["hi", 1, None]})
    assert rig.state(ann.pid) == "WAITING(tool)"
    rig.now += 2
    tool.result(order, {"said": "hi"})
    assert ann.result(number) == {
        "content": {"said": "hi"}, "driver": "tools", "seconds": 2.0, "labels": [],
        "message": None, "error": None,
    }  # fmt: skip
    assert rig.state(ann.pid) == "READY"
    assert used(rig, ann.pid) == 1


def test_is_an_unknown_tool_refused_with_the_one_that_was_meant(rig: Rig, ann: Program) -> None:
    rig.tool("tools", "echo", "shell")
    rig.driver(tools=[{"name": "shelf"}])
    with pytest.raises(ENOENT) as caught:
        ann.call("tool.call", name="shelf")
    assert caught.value.hint == "did you mean shell?"


def test_may_a_tool_be_late_at_the_boot() -> None:
    rig = Rig()
    ann = Program(rig, "ann", "*")
    number, nowhere = call(ann), call(ann, "nowhere")
    rig.wait(rig.config.boot_patience - 2)
    assert rig.state(ann.pid) == "WAITING(tool)"
    rig.tool()
    assert error(ann, nowhere) == "ENOENT", "drivers have had their time to come"
    assert ann.reply(number) is None, "its tool has it"


def test_is_a_tool_whose_driver_is_down_refused_at_once(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    tool.die()
    with pytest.raises(ENODRIVER, match="no driver for tool echo is up") as caught:
        ann.call("tool.call", name="echo")
    assert "tools is down: its connection ended" in caught.value.hint
    assert ann.account("tool_calls") == Account()


def test_is_a_tool_waited_for_while_its_driver_loads(rig: Rig, ann: Program) -> None:
    tool = rig.tool(state="loading")
    call(ann)
    assert not tool.orders
    tool.beat("ready")
    assert len(tool.orders) == 1


def test_is_a_driver_waited_for_that_says_only_later_what_it_offers(rig: Rig, ann: Program) -> None:
    server = rig.driver("git", kind="tool", models=[], features=[], state="loading")
    number, typo = call(ann, "git.status"), call(ann, "git.stauts")
    assert rig.state(ann.pid) == "WAITING(tool)"
    server.beat("ready", tools=[{"name": "git.status"}])
    assert ann.reply(typo)["error"]["hint"] == "did you mean git.status?"
    (order,) = server.heard("call")
    server.result(order, "clean")
    assert ann.result(number)["content"] == "clean"
    server.beat("loading")
    assert error(ann, call(ann, "git.push")) == "ENOENT", "it is known what it offers"


def test_does_a_refusal_name_a_driver_that_never_said_what_it_offers(
    rig: Rig, ann: Program
) -> None:
    server = rig.driver("git", kind="tool", models=[], features=[], state="loading")
    number = call(ann, "git.status")
    server.beat("failed", note="no such command")
    with pytest.raises(ENOENT) as caught:
        ann.result(number)
    assert caught.value.hint.endswith("no tool is known: git (llmos drivers shows why)")


def test_does_a_driver_that_fails_to_load_fail_those_who_wait(rig: Rig, ann: Program) -> None:
    tool = rig.tool(state="loading")
    number = call(ann)
    tool.beat("failed", note="no such server")
    with pytest.raises(ENODRIVER) as caught:
        ann.result(number)
    assert caught.value.hint == "tools is failed"  # why is for the user, in llmos drivers
    assert ann.account("tool_calls") == Account()


def test_does_an_error_of_the_tool_reach_the_caller_as_it_is(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann)
    said = {"code": "EINVAL", "message": "no path", "hint": "give one", "detail": {"path": None}}
    tool.result(tool.orders[0], error=said)
    with pytest.raises(EINVAL, match="no path") as caught:
        ann.result(number)
    assert (caught.value.hint, caught.value.detail) == ("give one", {"path": None})
    number = call(ann)
    tool.result(tool.orders[1], error={"code": "EWHAT", "message": "odd"})
    with pytest.raises(EDRIVER, match="odd"):
        ann.result(number)
    assert used(rig, ann.pid) == 2, "a call that failed is a call"


def test_are_arguments_refused_that_fit_into_no_order(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    with pytest.raises(EINVAL, match="the most is"):
        ann.call("tool.call", name="echo", arguments={"x": "y" * (4 * 1024 * 1024 - 4000)})
    ann.start("tool.call", name="echo", arguments={"x": "y" * (4 * 1024 * 1024 - 4200)})
    assert len(tool.orders) == 1


def test_is_a_result_that_is_too_large_an_error_and_no_second_call(rig: Rig, ann: Program) -> None:
    tool = rig.tool()
    number = call(ann, id=900)
    tool.result(tool.orders[0], "y" * (4 * 1024 * 1024 - 50))
    assert error(ann, number) == "EQUOTA"
    call(ann, id=900)
    assert len(tool.orders) == 1


# -- what is told of it ------------------------------------------------------------------------


def events(rig: Rig) -> list[tuple[str, Any]]:
    return [(e["type"], e["data"]) for e in rig.events if e["type"].startswith("job.")]


def test_do_events_tell_what_became_of_a_call_and_not_what_was_in_it(
    rig: Rig, ann: Program
) -> None:
    tool = rig.tool()
    for _ in range(3):
        call(ann, arguments={"x": "a secret word"})
    rig.now += 1.5
    jobs = [order.job for order in tool.orders]
    tool.result(tool.orders[0], "a secret answer")
    tool.result(tool.orders[1], error={"code": "EIO", "message": "a secret error"})
    rig.call("proc.kill", pid=ann.pid, signal="INT")
    same = {"driver": "tools", "tool": "echo"}
    assert events(rig) == [
        *(("job.started", {"job": job, **same}) for job in jobs),
        ("job.done", {"job": jobs[0], **same, "seconds": 1.5}),
        ("job.failed", {"job": jobs[1], **same, "error": "EIO", "seconds": 1.5}),
        ("job.cancelled", {"job": jobs[2], **same, "seconds": 1.5}),
    ]
    assert "secret" not in str(rig.events)
