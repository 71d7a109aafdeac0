"""Does what is done in the background give way to what somebody waits for?"""

from __future__ import annotations

import threading
from typing import cast

import pytest

from drivers.engine import Engine
from llmagentos.abi.jobs import EmbedOrder, JobRef
from tests.drivers.bench import Bench


class _Embedding:
    """Says when it begins and ends with a text; ends when it is let go."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.begun: dict[str, threading.Event] = {}
        self.go: dict[str, threading.Event] = {}

    def gate(self, kind: dict[str, threading.Event], text: str) -> threading.Event:
        return kind.setdefault(text, threading.Event())

    def embed(self, model: str, texts: list[str]) -> tuple[list[list[float]], int]:
        for text in texts:
            self.log.append(text)
            self.gate(self.begun, text).set()
            assert self.gate(self.go, text).wait(30)
        return [[1.0] for _ in texts], len(texts)


class _Idle(threading.Event):
    """Counts who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.release()
        return super().wait()


def test_does_what_is_done_in_the_background_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, engine, idle = Bench(slots=1), _Embedding(), _Idle()
    jobs = bench.jobs
    jobs.engine = cast(Engine, engine)
    idle.set()
    monkeypatch.setattr(jobs, "_idle", idle)

    def embed(number: int, *texts: str, background: bool = False) -> None:
        jobs.embed(
            EmbedOrder(job=number, pid=1, model="m", texts=list(texts), background=background)
        )

    embed(1, "a", "b", "c", background=True)
    assert idle.waits.acquire(timeout=30)
    assert engine.gate(engine.begun, "a").wait(30)
    embed(2, "query")
    assert engine.gate(engine.begun, "query").wait(30), "the only slot is free"
    engine.gate(engine.go, "a").set()
    assert idle.waits.acquire(timeout=30), "before b it looks whether it may go on"
    assert engine.log == ["a", "query"]
    for text in "bc":
        engine.gate(engine.go, text).set()
    engine.gate(engine.go, "query").set()
    assert [result.job for result in bench.results(2)] == [2, 1]
    assert engine.log == ["a", "query", "b", "c"]
    assert jobs.active == 0


def test_is_what_is_done_in_the_background_aborted_between_two_texts(bench: Bench) -> None:
    engine = _Embedding()
    bench.jobs.engine = cast(Engine, engine)
    bench.jobs.embed(EmbedOrder(job=1, pid=1, model="m", texts=["a", "b"], background=True))
    assert engine.gate(engine.begun, "a").wait(30)
    bench.jobs.abort(JobRef(job=1))
    engine.gate(engine.go, "a").set()
    assert bench.woken.wait(30)
    assert bench.jobs.take_results() == []
    assert engine.log == ["a"]
    assert bench.jobs.active == 0
