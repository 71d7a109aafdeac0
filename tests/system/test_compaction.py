"""Agents whose conversations outlive their windows: real processes, a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from llmagentos import System
from llmagentos.home import Home
from tests.system.machines import Machines, agent, eventually

WINDOW = 120
"""Words: the scripted driver's tokens."""
PROMPT = "These five words stay here."
FACT = "The ferry to Aland leaves from pier seventeen."


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A kernel, a host, and a driver with a small window that says the last message back."""
    machines = Machines(Home(tmp_path_factory.mktemp("compaction") / "h"))
    try:
        machines.start_kernel()
        machines.start_driver("--context-length", str(WINDOW))
        machines.start_host()
        yield machines
    finally:
        machines.close()


@pytest.fixture
def user(room: Machines) -> Iterator[System]:
    with room.user() as user:
        yield user


def talker(name: str = "talker", **spec: Any) -> dict[str, Any]:
    given = {
        "prompt": PROMPT, "interactive": True, "sampling": {"max_tokens": 10},
        "context": {"overflow": "compact"}, "capabilities": {"allow": ["proc:spawn"]},
    }  # fmt: skip
    return agent(name, **{**given, **spec})


def context(user: System, pid: int, **more: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = user.call("ctx.read", pid=pid, **more)["messages"]
    return messages


def say(user: System, pid: int, text: str) -> str:
    """The answer to it."""
    user.call("ipc.send", pid=pid, body=text)

    def answer() -> str:
        last = context(user, pid, last=3)
        said = [one["content"] for one in last]
        told = last[-1]["role"] == "assistant" and text in said[:-1]
        return said[-1] if told else ""

    return str(eventually(answer, 30))


def turn(number: int) -> str:
    return f"turn {number} has exactly six words"


def sources(user: System, pid: int, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All that the summaries among these stand for, however deep."""
    found = []
    for one in messages:
        if one["sources"]:
            behind = context(user, pid, source=one["id"])
            found += [*sources(user, pid, behind), *(m for m in behind if not m["sources"])]
    return found


def test_does_a_conversation_go_on_long_after_its_window_is_full(user: System) -> None:
    pid = user.call("proc.spawn", manifest=talker())["pid"]
    said = [FACT, *map(turn, range(50))]
    for text in said:
        assert say(user, pid, text) == text, "an echo, not a refusal"
        now = context(user, pid)
        assert now[0]["content"] == PROMPT
        assert sum(len(one["content"].split()) for one in now) < 2 * WINDOW
    now = context(user, pid)
    paged = sources(user, pid, now)
    assert len(paged) > 80, "most of it has left the context"
    # Nothing was lost, and nothing is there twice.
    both = [one["content"] for one in [*paged, *now] if one["role"] == "user"]
    assert both == said
    row = user.call("mem.search", pid=pid, query="Aland pier")["hits"][0]["row"]
    assert row["value"] == [f"user: {FACT}", f"assistant: {FACT}"]
    # Its children have summarised, and each is gone.
    ended = user.call("sys.events", pid=pid, limit=1000)["events"]
    assert "ctx.compacted" in [event["type"] for event in ended]
    assert user.call("proc.info", pid=pid)["process"]["children"] == []
    user.kill(pid, "KILL")


def test_is_a_full_context_refused_where_the_manifest_says_so(user: System) -> None:
    pid = user.call("proc.spawn", manifest=talker(context={"overflow": "refuse"}))["pid"]
    for number in range(12):
        user.call("ipc.send", pid=pid, body=turn(number))
        eventually(lambda: user.call("proc.info", pid=pid)["process"]["reason"] == "mail")
    last = context(user, pid)[-1]["content"]
    assert "more than the 120 that fit" in last
    assert not any(one["sources"] for one in context(user, pid))
    user.kill(pid, "KILL")


def test_does_the_budget_bind_what_compaction_costs(user: System) -> None:
    pid = user.call("proc.spawn", manifest=talker(limits={"tokens": 2500}))["pid"]
    for number in range(60):
        user.call("ipc.send", pid=pid, body=turn(number))
    info = eventually(lambda: ended(user, pid), 60)
    told = info["exit"]["error"]["message"]
    assert "of its 2500 tokens left" in told
    book = user.call("proc.info", pid=pid)["ledger"]["tokens"]
    rows = user.call("proc.list", history=1000)["processes"]
    family = [one for one in rows if one["pid"] == pid or one["ppid"] == pid]
    assert len(family) > 1, "children have summarised"
    used = sum(one["usage"]["prompt_tokens"] + one["usage"]["completion_tokens"] for one in family)
    assert book == {"spent": used, "reserved": 0, "limit": 2500}
    assert used <= 2500


def below(user: System, pid: int) -> list[int]:
    children: list[int] = user.call("proc.info", pid=pid)["process"]["children"]
    return children


def ended(user: System, pid: int) -> dict[str, Any] | None:
    process: dict[str, Any] = user.call("proc.info", pid=pid)["process"]
    return process if process["exit"] else None


def test_does_the_next_host_go_on_when_one_is_killed_in_a_compaction(machines: Machines) -> None:
    machines.start_kernel()
    machines.start_driver("--context-length", str(WINDOW), "--delay", "0.02", "--label", "private")
    host = machines.start_host()
    with machines.user() as user:
        pid = user.call("proc.spawn", manifest=talker(labels=["private"]))["pid"]
        said: list[str] = []
        while not (children := below(user, pid)):
            said.append(turn(len(said)))
            user.call("ipc.send", pid=pid, body=said[-1])
            length = 2 * len(said) + 1
            eventually(lambda n=length: len(context(user, pid)) == n or below(user, pid))
        host.kill()
        host.wait()
        machines.start_host("another")

        def answered() -> bool:
            now = context(user, pid)
            both = [*sources(user, pid, now), *now]
            return [m["content"] for m in both if m["role"] == "user"] == said and (
                now[-1]["role"] == "assistant"
            )

        eventually(answered, 30)
        assert context(user, pid)[0]["content"] == PROMPT
        rows = user.call("proc.list", history=1000)["processes"]
        summarisers = [one for one in rows if one["ppid"] == pid]
        assert children[0] in [one["pid"] for one in summarisers]
        assert {tuple(one["labels"]) for one in summarisers} == {("private",)}
        names = [one["name"] for one in summarisers]
        assert len(set(names)) == len(names), "none was started twice"
