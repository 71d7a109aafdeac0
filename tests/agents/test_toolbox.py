"""How an agent makes the calls that its model wants made, seen from the kernel."""

from __future__ import annotations

import pytest

from agents.arguments import parse
from agents.toolbox import HOPELESS, SAME, unanswered
from llmagentos.abi.calls.ctx import ContextMessage
from llmagentos.abi.errors import EINVAL
from tests.agents.played import CLOCK, Played, message, wish
from tests.agents.scripted_kernel import Call, ScriptedKernel

TOLD = [{"name": "time.now", "description": "the time", "parameters": {}}]


def test_is_a_wanted_call_made_and_then_answered(shared_kernel: ScriptedKernel, pid: int) -> None:
    played = Played(shared_kernel, pid)
    played.tools()
    assert played.generate("", wish("c1", arguments='{"timezone": "UTC"}')).args == {"tools": TOLD}
    call = played.made()
    assert call.args == {"name": "time.now", "arguments": {"timezone": "UTC"}, "append": "c1"}
    played.tools()
    played.generate("It is noon.")
    assert played.ended() == {"code": 0, "answer": "It is noon."}


def test_must_only_the_first_answer_call_a_tool(shared_kernel: ScriptedKernel, pid: int) -> None:
    played = Played(shared_kernel, pid, tool_choice="required")
    played.tools()
    must = played.generate("", wish("c1"))
    assert must.args == {"tools": TOLD, "tool_choice": "required"}
    played.made()
    played.tools()
    assert played.generate("It is noon.").args == {"tools": TOLD}
    assert played.ended()["answer"] == "It is noon."


def test_may_no_answer_call_a_tool_where_the_manifest_says_so(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    played = Played(shared_kernel, pid, tool_choice="none")
    played.tools()
    assert played.generate("Hi.").args == {"tools": TOLD, "tool_choice": "none"}
    assert played.ended()["code"] == 0


def test_is_nothing_required_of_an_agent_whose_tools_are_away(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    played = Played(shared_kernel, pid, tool_choice="required")
    played.tools({**CLOCK, "up": False})
    assert played.generate("I can't tell.").args == {}
    assert played.ended()["code"] == 0


def test_is_what_a_dead_host_left_done_first(shared_kernel: ScriptedKernel, pid: int) -> None:
    played = Played(
        shared_kernel,
        pid,
        message(1, "user", "?"),
        message(2, "assistant", "", tool_calls=[wish("c1"), wish("c2")]),
        message(3, "tool", "noon", tool_call="c1"),
    )
    played.tools()
    assert played.made().args["append"] == "c2"
    played.tools()
    played.generate("Noon, twice.")
    assert played.ended()["answer"] == "Noon, twice."


def test_do_only_those_run_beside_each_other_that_say_so(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    played = Played(shared_kernel, pid, tools=("time.now", "look"))
    played.tools(CLOCK, {**CLOCK, "name": "look", "parallel": True})
    played.generate("", wish("c1", "look"), wish("c2", "look"), wish("c3"), wish("c4"))
    beside = [shared_kernel.call("tool.call") for _ in range(2)]
    assert {call.args["append"] for call in beside} == {"c1", "c2"}
    assert shared_kernel.is_quiet(150)
    for call in beside:
        shared_kernel.answer(call, content="", driver="d", seconds=0.0, labels=[])
        played.settled(call.args["append"])
    assert played.made().args["append"] == "c3"
    assert played.made().args["append"] == "c4"
    played.end()


def _names(call: Call) -> list[str]:
    return [tool["name"] for tool in call.args["tools"]]


def test_is_the_model_told_only_of_tools_that_its_manifest_names(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    played = Played(shared_kernel, pid, tools=("time.*", {"mcp": "git"}, "x?"))
    there = ["time.now", "time.zones", "git.log", "gitlog", "xy", "shell"]
    played.tools(*({**CLOCK, "name": name} for name in there))
    assert _names(played.generate("Done.")) == ["time.now", "time.zones", "git.log"]
    assert played.ended()["answer"] == "Done."


def test_does_a_lazy_tool_take_one_line_until_it_is_asked_for(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    refs = ({"mcp": "git", "load": "lazy"}, "time.now")
    git = {
        **CLOCK,
        "name": "git.log",
        "description": "The log.\nAt length.",
        "parameters": {"type": "object"},
    }
    tools = [
        git,
        {**git, "name": "git.diff"},
        CLOCK,
        {**CLOCK, "name": "tool.list", "description": "What they do."},
    ]
    played = Played(shared_kernel, pid, tools=refs)
    played.tools(*tools)
    told = played.generate("", wish("c1", "tool.list", '{"names": ["git.log"]}')).args["tools"]
    assert [one["name"] for one in told] == ["time.now", "tool.list"]
    assert told[1]["description"].splitlines()[1:] == ["git.log: The log.", "git.diff: The log."]
    assert played.made().args["arguments"] == {"names": ["git.log"]}
    played.tools(*tools)
    told = played.generate("Done.").args["tools"]
    assert [one["name"] for one in told] == ["git.log", "time.now", "tool.list"]
    assert told[0]["parameters"] == {"type": "object"}
    assert "git.log" not in told[2]["description"]
    assert played.ended()["answer"] == "Done."


@pytest.mark.parametrize(
    ("code", "told"), [("EPERM", "EPERM: no"), ("ENOENT", "ENOENT: no"), ("EQUOTA", "EQUOTA: no")]
)
def test_is_the_model_told_why_a_call_was_not_made(
    shared_kernel: ScriptedKernel, pid: int, code: str, told: str
) -> None:
    played = Played(shared_kernel, pid)
    played.tools()
    played.generate("", wish("c1"))
    shared_kernel.fail(shared_kernel.call("tool.call"), code)
    assert played.told() == {"role": "tool", "content": told, "tool_call": "c1"}
    played.tools()
    played.generate("Then not.")
    assert played.ended()["code"] == 0


def test_is_the_model_told_what_is_wrong_with_its_arguments(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    played = Played(shared_kernel, pid)
    played.tools()
    played.generate("", wish("c1", arguments="now, please"))
    assert played.told()["content"].startswith("EINVAL: the arguments are no JSON object")
    played.end()


def test_is_a_model_stopped_that_goes_round_in_circles(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    played = Played(shared_kernel, pid)
    for number in range(1, HOPELESS + 1):
        played.tools()
        played.generate("", wish(f"c{number}"))
        if number <= SAME:
            played.made()
        elif number < HOPELESS:
            assert "this very call" in played.told()["content"]
    error = played.ended()["error"]
    assert error["code"] == "EINVAL"
    assert f"for the {HOPELESS}th time" in error["message"]


def test_has_each_call_a_result_when_an_interactive_agent_is_interrupted(
    shared_kernel: ScriptedKernel, pid: int
) -> None:
    played = Played(shared_kernel, pid, interactive=True)
    played.tools()
    played.generate("", wish("c1"), wish("c2"))
    shared_kernel.fail(shared_kernel.call("tool.call"), "ECANCELED")
    played.read()
    assert [played.told()["tool_call"] for _ in range(2)] == ["c1", "c2"]
    assert played.told() == {"role": "assistant", "content": "(interrupted)"}
    shared_kernel.signal(pid, "KILL")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": "x"}',
        '```json\n{"a": 1, "b": "x"}\n```',
        "{'a': 1, 'b': 'x'}",
        'Here you are: {"a": 1, "b": "x"}. Good luck!',
        '{"a": 1, "b": "x"',
        '{"a": 1, "b": "x',
        '"{\\"a\\": 1, \\"b\\": \\"x\\"}"',
    ],
)
def test_are_arguments_read_that_can_mean_one_thing_only(text: str) -> None:
    assert parse(text) == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]", "now", "{'a'}", "null", "__import__('os')", "{'a': {1}}", "{'a': b'x'}",
        '{"a": ' + "[" * 5000,
    ],
)  # fmt: skip
def test_are_other_arguments_refused(text: str) -> None:
    with pytest.raises(EINVAL, match="no JSON object"):
        parse(text)


def test_is_a_map_with_numbers_for_names_what_json_makes_of_it() -> None:
    assert parse("{'a': {1: (2, None)}}") == {"a": {"1": [2, None]}}


def test_are_no_arguments_an_empty_map() -> None:
    assert parse("") == parse(" \n") == {}


def test_is_only_the_last_answer_asked_for_its_calls() -> None:
    said = [
        message(1, "assistant", "", tool_calls=[wish("old")]),
        message(2, "assistant", "so"),
    ]
    assert unanswered([ContextMessage.model_validate(one) for one in said]) == []
