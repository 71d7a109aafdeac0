"""Is a context kept, and can one go back in it?"""

import pytest

from llmagentos.abi.errors import EINVAL, ENOENT
from tests.kernel.rig import Rig, agent


@pytest.fixture
def rig() -> Rig:
    return Rig()


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
