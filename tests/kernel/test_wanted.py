"""Is each call that an answer wants made once, whatever becomes of who makes it, and kept?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernel.rig import MODEL, FakeHost, FakeTool, Rig, agent, said

CALLS = [{"id": f"c{n}", "name": "echo", "arguments": f'{{"n": {n}}}'} for n in (1, 2)]


def _asked(rig: Rig, **spec: Any) -> tuple[int, FakeHost, FakeTool]:
    """An agent whose model wants two calls made, its host, and the driver of the tool."""
    tool = rig.tool()
    rig.driver("cloud", kind="cloud", features=["tools"])
    host = rig.host()
    pid = rig.spawn(agent(tools=["echo"], **spec))
    said = [{"role": "assistant", "content": "", "tool_calls": CALLS}]
    host.act(pid, "ctx.append", messages=said)
    return pid, host, tool


def _make(host: FakeHost, pid: int, id: str = "c1", **more: Any) -> int:
    return host.act(pid, "tool.call", name="echo", arguments={"n": 1}, append=id, **more)


def _results(rig: Rig, pid: int) -> list[tuple[str, str]]:
    messages = rig.call("ctx.read", pid=pid)["messages"]
    return [(m["tool_call"], m["content"]) for m in messages if m["role"] == "tool"]


def test_is_the_result_in_the_context_when_the_reply_comes(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    first, second = _make(host, pid, "c1"), _make(host, pid, "c2")
    tool.result(tool.orders[1], {"said": "zwei"})
    tool.result(tool.orders[0], "eins")
    assert _results(rig, pid) == [("c2", '{"said": "zwei"}'), ("c1", "eins")]
    assert host.result_of(first)["message"] > host.result_of(second)["message"]


def test_does_a_call_go_on_when_its_host_dies_and_the_next_one_waits_for_it(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    _make(host, pid)
    host.die()
    assert tool.aborted == []
    other = rig.host("other")
    number = _make(other, pid)
    assert len(tool.orders) == 1
    tool.result(tool.orders[0], "once")
    assert other.result_of(number)["content"] == "once"
    assert _results(rig, pid) == [("c1", "once")]


def test_does_a_host_that_comes_late_get_what_came_of_it(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    _make(host, pid)
    host.die()
    tool.result(tool.orders[0], "once")
    assert _results(rig, pid) == [("c1", "once")]
    other = rig.host("other")
    assert other.result_of(_make(other, pid))["content"] == "once"
    assert len(tool.orders) == 1
    assert _results(rig, pid) == [("c1", "once")]


def test_is_what_was_settled_not_done_again_after_a_crash(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    _make(host, pid)
    key = tool.orders[0].key
    tool.result(tool.orders[0], "once")
    _make(host, pid, "c2")
    other_key = tool.orders[1].key
    rig.crash()
    tool, host = rig.tool(), rig.host()
    rig.wait(10)
    assert host.result_of(_make(host, pid))["content"] == "once"
    _make(host, pid, "c2")
    # It had begun, and nobody knows how far it came: the driver can see that it is the same one.
    assert [order.key for order in tool.orders] == [other_key]
    assert key != other_key


@pytest.mark.parametrize("how", ["INT", "KILL"])
def test_is_a_call_without_a_host_stopped_by_a_signal(rig: Rig, how: str) -> None:
    pid, host, tool = _asked(rig)
    _make(host, pid)
    host.die()
    rig.call("proc.kill", pid=pid, signal=how)
    assert tool.aborted == [tool.orders[0].job]
    account = rig.machine.table.get(pid).account("tool_calls")
    assert (account.spent, account.reserved) == (1, 0)


def test_does_its_time_run_out_without_a_host_too(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    _make(host, pid, timeout=5)
    host.die()
    rig.wait(6)
    assert tool.aborted == [tool.orders[0].job]
    ((id, words),) = _results(rig, pid)
    assert (id, words.startswith("ETIMEOUT: ")) == ("c1", True)


def test_is_the_model_told_of_a_call_that_failed(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    number = _make(host, pid)
    error = {"code": "EINVAL", "message": "n must be a text", "hint": "quote it"}
    tool.result(tool.orders[0], error=error)
    assert host.result_of(number)["error"]["code"] == "EINVAL"
    assert _results(rig, pid) == [("c1", "EINVAL: n must be a text (quote it)")]


def test_is_a_call_that_could_not_begin_refused_and_not_told(rig: Rig) -> None:
    pid, host, _ = _asked(rig, capabilities={"deny": ["tool:echo(*)"]})
    body = host.reply(_make(host, pid))
    assert body is not None
    assert body["error"]["code"] == "EPERM"
    assert _results(rig, pid) == []


def test_is_a_call_refused_that_nobody_wants(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    body = host.reply(_make(host, pid, "c9"))
    assert body is not None
    assert body["error"]["code"] == "EINVAL"
    assert tool.orders == []


def test_is_a_call_that_is_under_way_not_made_beside_itself(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    _make(host, pid)
    body = host.reply(_make(host, pid))
    assert body is not None
    assert body["error"]["code"] == "EBUSY"
    assert len(tool.orders) == 1


def test_is_a_result_dropped_whose_question_was_taken_back(rig: Rig) -> None:
    pid, host, tool = _asked(rig)
    number = _make(host, pid)
    rig.call("ctx.rewind", pid=pid, message=rig.call("ctx.read", pid=pid)["messages"][0]["id"])
    tool.result(tool.orders[0], "late")
    assert host.result_of(number)["message"] is None
    assert _results(rig, pid) == []


def test_do_labels_of_a_tool_come_into_the_context_with_its_result(rig: Rig) -> None:
    tool = rig.tool("vault", {"name": "echo", "labels": ["secret"]})
    host = rig.host()
    pid = rig.spawn(agent(tools=["echo"], model=MODEL))
    said = [{"role": "assistant", "content": "", "tool_calls": CALLS}]
    host.act(pid, "ctx.append", messages=said)
    _make(host, pid)
    host.die()
    tool.result(tool.orders[0], "s3cret")
    assert rig.labels(pid) == ["secret"]


# -- what is offered, and what is kept ----------------------------------------------------------


def test_has_each_call_of_an_answer_an_id_of_its_own(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud", features=["tools"])
    host, pid = rig.host(), rig.spawn(agent())
    number = host.act(pid, "llm.generate", tools=[{"name": "clock"}])
    calls = [{"id": "same", "name": "clock", "arguments": "{}"} for _ in range(3)]
    cloud.end("", 1, finish="tool_calls", tool_calls=calls, prompt_tokens=1)
    made = host.result_of(number)["tool_calls"]
    assert [call["id"] for call in made] == ["same", "same-2", "same-3"]
    answer = [{"role": "assistant", "content": "", "tool_calls": calls}]
    number = host.act(pid, "ctx.append", messages=answer)
    assert host.error_of(number)["code"] == "EINVAL"


def test_are_calls_of_tools_kept_with_the_answer_over_a_crash(rig: Rig) -> None:
    cloud = rig.driver("cloud", kind="cloud", features=["tools"])
    host, pid = rig.host(), rig.spawn(agent())
    tool = {"name": "clock", "description": "tells the time", "parameters": {"type": "object"}}
    number = host.act(pid, "llm.generate", tools=[tool])
    assert cloud.started[-1].tools[0].name == "clock"
    call = {"id": "c1", "name": "clock", "arguments": "{}"}
    cloud.end("", 1, finish="tool_calls", tool_calls=[call], prompt_tokens=1)
    assert host.reply(number)["result"]["tool_calls"] == [call]  # type: ignore[index]
    result = [{"role": "tool", "content": "noon", "tool_call": "c1"}]
    host.act(pid, "ctx.append", messages=result)
    rig.crash()
    messages = rig.call("ctx.read", pid=pid)["messages"]
    assert [message["tool_calls"] for message in messages] == [[], [call], []]
    assert messages[-1]["tool_call"] == "c1"


def test_is_a_driver_told_whether_a_tool_must_be_called(rig: Rig) -> None:
    driver = rig.driver(features=["tools"])
    host, pid = rig.host(), rig.spawn(agent())
    for choice in ("auto", "required", "none"):
        more = {} if choice == "auto" else {"tool_choice": choice}
        host.act(pid, "llm.generate", tools=[{"name": "clock"}], **more)
        assert driver.started[-1].tool_choice == choice
        driver.end("a", 1, prompt_tokens=1)
    number = host.act(pid, "llm.generate", tool_choice="required")
    assert host.error_of(number)["code"] == "EINVAL"


def test_does_a_driver_without_tools_get_no_call_that_has_them(rig: Rig) -> None:
    edge = rig.driver()
    rig.wait(3)
    number = rig.send("llm.generate", messages=said(), tools=[{"name": "clock"}])
    assert edge.started == []
    assert rig.reply(number)["error"]["code"] == "ENODRIVER"  # type: ignore[index]
