"""Is a context kept, and can one go back in it?"""

from typing import Any

import pytest

from kernel.effects import FromClient
from llmagentos.abi.errors import EINVAL, ENOENT
from llmagentos.abi.wire import Message
from tests.kernel.rig import USER, Rig, agent


@pytest.fixture
def pid(rig: Rig) -> int:
    return rig.spawn(agent(prompt="the system"), text="first")


def told(rig: Rig, pid: int) -> list[str]:
    return [m["content"] for m in rig.call("ctx.read", pid=pid)["messages"]]


def say(rig: Rig, pid: int, *texts: str) -> list[int]:
    messages = [{"role": "user", "content": text} for text in texts]
    ids: list[int] = rig.call("ctx.append", pid=pid, messages=messages)["ids"]
    return ids


def test_can_one_rewind_to_any_message(rig: Rig, pid: int) -> None:
    second, _ = say(rig, pid, "second", "third")
    assert rig.call("ctx.rewind", pid=pid, message=second) == {"messages": 3}
    assert told(rig, pid) == ["the system", "first", "second"]
    with pytest.raises(ENOENT):
        rig.call("ctx.rewind", pid=pid, message=999)
    assert rig.call("ctx.rewind", pid=pid, message=0) == {"messages": 0}


def test_is_a_checkpoint_a_place_to_come_back_to(rig: Rig, pid: int) -> None:
    made = rig.call("ctx.checkpoint", pid=pid)["checkpoint"]
    say(rig, pid, "a wrong turn")
    rig.crash()
    rig.call("ctx.restore", pid=pid, checkpoint=made)
    assert told(rig, pid) == ["the system", "first"]
    with pytest.raises(ENOENT, match="no checkpoint other"):
        rig.call("ctx.restore", pid=pid, checkpoint="other")


def test_does_a_compacted_context_name_its_sources_and_come_back(rig: Rig, pid: int) -> None:
    say(rig, pid, "second", "third", "fourth")
    before = rig.call("ctx.read", pid=pid)["messages"]
    made = rig.call("ctx.compact", pid=pid, keep=1, summary="in short")
    assert told(rig, pid) == ["the system", "in short", "fourth"]
    assert made["sources"] == [m["id"] for m in before[1:4]]
    rig.call("ctx.restore", pid=pid, checkpoint=made["checkpoint"])
    assert rig.call("ctx.read", pid=pid)["messages"] == before
    with pytest.raises(EINVAL, match="nothing to compact"):
        rig.call("ctx.compact", pid=pid, keep=99, summary="x")


def behind(rig: Rig, pid: int, summary: int) -> list[str]:
    found = rig.call("ctx.read", pid=pid, source=summary)["messages"]
    return [one["content"] for one in found]


def compact(rig: Rig, pid: int, **args: Any) -> int:
    summary: int = rig.call("ctx.compact", pid=pid, **args)["summary"]
    return summary


@pytest.mark.parametrize("crash", [False, True])
def test_does_what_a_summary_stands_for_come_back_word_for_word(
    rig: Rig, pid: int, crash: bool
) -> None:
    call = {"id": "c1", "name": "look", "arguments": '{"at": 1}'}
    messages = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "found", "tool_call": "c1"},
    ]
    rig.call("ctx.append", pid=pid, messages=messages)
    say(rig, pid, "last")
    before = rig.call("ctx.read", pid=pid)["messages"]
    inner = compact(rig, pid, keep=1, summary="in short")
    # What has left memory, too: the undoing of the first is forgotten by then.
    for number in range(17):
        say(rig, pid, f"more {number}")
        outer = compact(rig, pid, keep=1, summary=f"shorter {number}")
    if crash:
        rig.crash()
    assert rig.call("ctx.read", pid=pid, source=inner)["messages"] == before[1:4]
    assert behind(rig, pid, outer) == ["shorter 15", "more 15"]
    assert rig.call("ctx.read", pid=pid, source=inner, last=1)["messages"] == before[3:4]
    child = rig.call("proc.fork", pid=pid)["pid"]
    assert behind(rig, child, inner) == behind(rig, pid, inner)
    rig.call("proc.kill", pid=child, signal="KILL")
    rig.call("proc.wait", pid=child)
    assert behind(rig, child, inner) == behind(rig, pid, inner)


def test_is_what_never_was_a_source_not_shown(rig: Rig, pid: int) -> None:
    other = rig.spawn(agent(prompt="other"), text="a secret")
    theirs = compact(rig, other, keep=0, summary="hidden")
    child = rig.call("proc.fork", pid=pid)["pid"]
    say(rig, pid, "after the fork")
    own = compact(rig, pid, keep=0, summary="mine")
    for one, source in ((pid, theirs), (child, own), (pid, 1), (pid, 999)):
        with pytest.raises(ENOENT, match="is no summary"):
            behind(rig, one, source)
    assert behind(rig, pid, own) == ["first", "after the fork"]


def test_can_sources_be_read_before_they_are_on_the_disk(rig: Rig, pid: int) -> None:
    machine = rig.machine
    number = machine.next_message
    calls: list[tuple[str, dict[str, Any]]] = [
        ("ctx.append", {"messages": [{"role": "user", "content": t} for t in ("second", "third")]}),
        ("ctx.compact", {"keep": 1, "summary": "inner"}),
        ("ctx.compact", {"keep": 0, "summary": "outer"}),
        ("ctx.read", {"source": number + 2}),
    ]
    for id, (name, args) in enumerate(calls, 5000):
        message = Message("call", id, name, USER, {"pid": pid, **args})
        machine.apply(FromClient(b"user", message), rig.now)
    rig._take(machine.flush())
    body = rig.reply(5003)
    assert body is not None
    assert [one["content"] for one in body["result"]["messages"]] == ["first", "second"]


def test_does_a_compaction_name_its_last_message_and_swallow_nothing_after_it(
    rig: Rig, pid: int
) -> None:
    second, _ = say(rig, pid, "second", "third")
    say(rig, pid, "it came meanwhile")
    made = compact(rig, pid, through=second, summary="in short")
    assert told(rig, pid) == ["the system", "in short", "third", "it came meanwhile"]
    with pytest.raises(ENOENT, match="any more"):
        compact(rig, pid, through=second, summary="again")
    for wrong in ({}, {"keep": 1, "through": made}):
        with pytest.raises(EINVAL, match="either keep or through"):
            compact(rig, pid, summary="x", **wrong)


def test_can_the_last_compactions_be_undone_and_is_it_told_which_can_not(
    rig: Rig, pid: int
) -> None:
    rig.call("ctx.checkpoint", pid=pid, name="mine")
    summaries = []
    for number in range(20):
        say(rig, pid, f"more {number}")
        summaries.append(compact(rig, pid, keep=0, summary=f"short {number}"))
    names = rig.call("proc.info", pid=pid)["checkpoints"]
    assert names == ["mine", *(f"compact:{one}" for one in summaries[-16:])]
    told_of = [event["data"] for event in rig.events if event["type"] == "ctx.compacted"]
    assert [one["dropped"] for one in told_of][-4:] == [[f"compact:{one}"] for one in summaries[:4]]
    rig.call("ctx.restore", pid=pid, checkpoint=names[-1])
    assert told(rig, pid) == ["the system", "short 18", "more 19"]


def test_is_a_summary_at_the_beginning_no_system_prompt(rig: Rig) -> None:
    pid = rig.spawn(agent(), text="first")
    compact(rig, pid, keep=0, summary="one")
    say(rig, pid, "second")
    compact(rig, pid, keep=0, summary="two")
    assert told(rig, pid) == ["two"]


def test_does_a_crash_lose_nothing_of_it(rig: Rig, pid: int) -> None:
    say(rig, pid, "second")
    child = rig.call("proc.fork", pid=pid, text="the child's own")["pid"]
    before = [rig.call("ctx.read", pid=one) for one in (pid, child)]
    rig.crash()
    assert [rig.call("ctx.read", pid=one) for one in (pid, child)] == before


def test_is_the_answer_appended_in_the_step_that_returns_it(rig: Rig, pid: int) -> None:
    driver, host = rig.driver(), rig.host()
    host.act(pid, "llm.generate")
    driver.answer("the answer", prompt=20)
    rig.crash()
    assert told(rig, pid)[-1] == "the answer"
    assert rig.call("ctx.read", pid=pid)["tokens"] == 22


def test_does_a_call_with_messages_of_its_own_leave_the_context_alone(rig: Rig, pid: int) -> None:
    driver, host = rig.driver(), rig.host()
    say_this = [{"role": "user", "content": "aside"}]
    host.act(pid, "llm.generate", messages=say_this)
    assert [m.content for m in driver.started[-1].messages] == ["aside"]
    driver.answer()
    assert told(rig, pid) == ["the system", "first"]
    host.act(pid, "llm.generate", messages=say_this, append=True)
    assert [m.content for m in driver.started[-1].messages] == ["the system", "first", "aside"]
    driver.answer("noted")
    assert told(rig, pid) == ["the system", "first", "aside", "noted"]


def test_is_an_empty_prompt_refused(rig: Rig) -> None:
    with pytest.raises(EINVAL, match="the context is empty"):
        rig.call("llm.generate")


def test_can_the_user_read_the_context_of_a_process_that_was_collected(rig: Rig, pid: int) -> None:
    host = rig.host()
    say(rig, pid, "second")
    before = rig.call("ctx.read", pid=pid)
    host.act(pid, "proc.exit")
    rig.call("proc.wait", pid=pid)
    assert rig.call("ctx.read", pid=pid) == before
    assert [m["content"] for m in rig.call("ctx.read", pid=pid, last=1)["messages"]] == ["second"]
    rig.crash()
    assert rig.call("ctx.read", pid=pid) == before
