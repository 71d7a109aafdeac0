"""Would it be noticed? Each way that data takes leaks in its turn, and must be found out."""

from collections import Counter

import pytest

from tests.interference.campaign import first_leak, quiet
from tests.interference.leaks import LEAKS, planted
from tests.interference.play import play, steps_of, story
from tests.interference.repertoire import CALLS

MOST = 4000
"""Programs, at most, in which a leak must show. Most show in the first hundred."""

RARE = {
    "approvals: notes": 3200, "context: names of checkpoints": 2500, "wait: who waits": 1200,
    "files: list": 1000, "context: checkpoint": 900, "info": 750, "memory: found by meaning": 600,
    "memory: keys": 475, "memory: what is looked for": 400, "topics: publish": 375,
    "topics: subscribe": 375, "approvals: questions": 350, "approvals: decisions": 350,
    "drivers: why they are not taken": 225,
    "placement: other card": 175, "context: compaction": 125, "context: rewind and restore": 125,
    "rights: who gives": 125, "rights: who is given": 125,
}  # fmt: skip
"""Where to begin to look: the rest comes afterwards. All are among those that are played anyway."""

PATHS = (
    "ctx.read", "mem.get", "mem.search", "mem.list", "fs.read", "fs.list", "fs.history",
    "ipc.recv", "ipc.subscribe", "proc.wait", "proc.info", "llm.generate", "stream", "tool.call",
    "cap.list", "cap.grant", "cap.decide", "cap.request",
)  # fmt: skip
"""By what a process may be told something labelled."""


@pytest.mark.parametrize("way", LEAKS)
def test_is_a_leak_found(way: str) -> None:
    start = RARE.get(way, 0)
    with planted(way):
        assert first_leak((*range(start, MOST), *range(start))) is not None


def test_is_a_leak_told_with_a_short_program() -> None:
    with planted("memory: get"):
        found = first_leak(range(MOST))
        assert found is not None
        told = story(found[0])
    first, *_, last = told.splitlines()
    assert first.startswith(f"seed {found[0]}, ")
    assert int(first.split()[2]) <= 8
    assert "mem.get" in told
    assert "lacks" in last


def test_does_enough_happen() -> None:
    """Is every call answered well now and then, and does labelled data take every way?"""
    count: Counter[str] = Counter()
    with quiet():
        for seed in range(800):
            assert not play(steps_of(seed), count=count)
    silent = [path for path in PATHS if not count[f"told {path}"]]
    assert not silent
    answered = [name for name in count if name.startswith("ok ") and name[3:6].islower()]
    assert len(answered) >= len(CALLS)
    assert min(count[name] for name in answered) >= 3


def test_is_a_program_the_same_every_time() -> None:
    for seed in range(20):
        traces: list[list[str]] = [[], []]
        for trace in traces:
            play(steps_of(seed), trace)
        assert traces[0] == traces[1]
