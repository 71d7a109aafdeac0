"""Who gets how much of the edge engine's next step, and what does a step that fails leave?"""

from __future__ import annotations

from typing import Any

import pytest

from drivers.edge import batch, paged
from drivers.edge.engine import EdgeEngine
from drivers.edge.plain import PlainRunner
from drivers.edge.runner import in_rows
from tests.drivers.orders import TEXTS, Collected, order, reference


def test_do_others_go_on_between_the_chunks_of_a_long_prompt(tiny: Any) -> None:
    engine = EdgeEngine(tiny, slots=2, chunk=16)
    engine.start(order(1, "hi"))
    while not engine.step()[0].tokens:
        pass
    engine.start(order(2, "a " * 100))
    for _ in range(4):
        by_burst = {report.burst: report for report in engine.step()}
        assert len(by_burst[1].tokens) == 1
        assert by_burst[2].tokens == []
        assert by_burst[2].prefill_seconds > 0


def test_does_a_short_prompt_not_wait_until_a_long_one_is_read(tiny: Any) -> None:
    engine, got = EdgeEngine(tiny, slots=3, chunk=64), Collected()
    texts = {1: "a " * 140, 2: "x", 3: "?"}
    for burst, text in texts.items():
        engine.start(order(burst, text))
    for _ in range(3):
        got.add(engine.step())
    assert got.tokens[2]
    assert got.tokens[3]
    assert not got.tokens[1]
    got.run(engine)
    for burst, text in texts.items():
        assert got.tokens[burst] == reference(tiny, text)


def test_does_a_long_prompt_have_all_of_a_step_when_nobody_waits(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, got, read = EdgeEngine(tiny, slots=2, chunk=64), Collected(), []
    forward = engine._runner.forward

    def watched(decoding: Any, reading: Any) -> Any:
        read.extend(count for _, count in reading)
        return forward(decoding, reading)

    monkeypatch.setattr(engine._runner, "forward", watched)
    engine.start(order(1, "a " * 140, max_tokens=1))
    got.run(engine)
    assert read == [*[64] * (got.prompt[1] // 64), got.prompt[1] % 64]


def test_does_one_that_goes_on_wait_for_no_prompt(tiny: Any) -> None:
    engine, got = EdgeEngine(tiny, slots=2, chunk=16), Collected()
    engine.start(order(1, "hi"))
    while not got.tokens.get(1):
        got.add(engine.step())
    engine.start(order(2, "a " * 100))
    for _ in range(3):
        engine.preempt(1)
        engine.resume(1)  # behind the other now
        got.add(stepped := engine.step())
        assert {report.burst: len(report.tokens) for report in stepped} == {1: 1, 2: 0}
    got.run(engine)
    for burst, text in ((1, "hi"), (2, "a " * 100)):
        assert got.tokens[burst] == reference(tiny, text)


def test_does_one_failing_forward_leave_the_engine_usable(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, got = EdgeEngine(tiny, slots=4), Collected()
    engine.start(order(1, "hi"))
    got.add(engine.step())
    engine.start(order(2, "boom"))
    with monkeypatch.context() as patch:
        forward = engine._runner.forward

        def failing(decoding: Any, reading: Any) -> Any:
            bursts = [one.burst for one in (*decoding, *(part[0] for part in reading))]
            return 1 / 0 if 2 in bursts else forward(decoding, reading)

        patch.setattr(engine._runner, "forward", failing)
        reports = engine.step()
    got.add(reports)
    (failed,) = [report for report in reports if report.burst == 2]
    assert failed.error is not None
    assert failed.error.code == "EDRIVER"
    engine.start(order(3, "fox"))
    got.run(engine)
    assert got.tokens[3] == reference(tiny, "fox")
    assert got.tokens[1] == reference(tiny, "hi")


def test_does_a_step_that_fails_at_its_end_leave_no_trace(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is computed then, but nobody has heard of it: each is computed again, alone."""
    engine, got = EdgeEngine(tiny, slots=4), Collected()
    for burst in (1, 2):
        engine.start(order(burst, TEXTS[burst]))
    while len(got.tokens.get(1, [])) < 3:
        got.add(engine.step())
    engine.start(order(3, "the quick brown fox"))
    failing = [True]

    def failing_once(logits: Any) -> Any:
        return 1 / 0 if failing and failing.pop() else in_rows(logits)

    with monkeypatch.context() as patch:
        for module in (paged, batch):
            patch.setattr(module, "in_rows", failing_once)
        got.add(engine.step())
    assert not failing
    got.run(engine)
    for burst, text in ((1, TEXTS[1]), (2, TEXTS[2]), (3, "the quick brown fox")):
        assert got.tokens[burst] == reference(tiny, text)


def test_is_a_token_not_made_twice_when_a_prompt_beside_it_fails(
    tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = PlainRunner(tiny_model.model, 4, tiny_model.card.context_length)
    engine, got = EdgeEngine(tiny_model, slots=4, runner=runner), Collected()
    engine.start(order(1, "hi"))
    for _ in range(3):
        got.add(engine.step())
    engine.start(order(2, "boom"))
    with monkeypatch.context() as patch:
        patch.setattr(runner._batch, "prefill", lambda *_: 1 / 0)
        got.add(engine.step())
    assert got.finish[2] == "error"
    assert got.run(engine).tokens[1] == reference(tiny_model, "hi")
