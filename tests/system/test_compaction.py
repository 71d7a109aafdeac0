"""Agents whose conversations outlive their windows: real processes, a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
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
