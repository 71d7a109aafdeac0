"""Does the edge engine give exactly what transformers' own ``generate`` gives?"""

from __future__ import annotations

import random
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from drivers.edge.engine import EdgeEngine
from llmagentos.abi.cards import FREE
from llmagentos.abi.errors import EBUSY, ECONTEXT, EINVAL, ENOENT
from llmagentos.abi.talk import ChatMessage
from tests.drivers.orders import TEXTS, Collected, order, reference, used


def with_eos(loaded: Any, token: int) -> Any:
    return replace(loaded, vocabulary=replace(loaded.vocabulary, eos=frozenset({token})))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("chunk", [4, 256])
def test_does_one_sequence_alone_equal_generate(tiny: Any, text: str, chunk: int) -> None:
    engine = EdgeEngine(tiny, slots=2, chunk=chunk)
    engine.start(order(1, text))
    got = Collected().run(engine)
    assert got.tokens[1] == reference(tiny, text)
    assert got.text[1] == tiny.vocabulary.decode(got.tokens[1])
    assert got.finish[1] == "length"
    assert got.prompt[1] > 0
    assert used(engine) == (0, 0)


def test_does_a_batch_of_mixed_lengths_equal_generate(tiny: Any) -> None:
    engine = EdgeEngine(tiny, slots=8, chunk=32)
    counts = {n + 1: 3 + 9 * n for n in range(8)}  # they end at different times: rows are swapped
    for burst, count in counts.items():
        engine.start(order(burst, TEXTS[burst - 1], max_tokens=count))
    got = Collected().run(engine)
    for burst, count in counts.items():
        assert got.tokens[burst] == reference(tiny, TEXTS[burst - 1], count)
        assert got.text[burst] == tiny.vocabulary.decode(got.tokens[burst])


def test_do_sequences_that_join_later_change_nothing(tiny: Any) -> None:
    engine, got = EdgeEngine(tiny, slots=3), Collected()
    waiting = [order(n + 1, text) for n, text in enumerate(TEXTS)]
    while waiting or engine.busy:
        if waiting and engine.stats.active < 3:
            engine.start(waiting.pop(0))
        got.add(engine.step())
    for n, text in enumerate(TEXTS):
        assert got.tokens[n + 1] == reference(tiny, text)


def test_does_a_long_answer_survive_growing_rows(tiny: Any) -> None:
    engine = EdgeEngine(tiny, slots=2)
    engine.start(order(1, "long", max_tokens=400))
    engine.start(order(2, "short", max_tokens=5))
    got = Collected().run(engine)
    assert got.tokens[1] == reference(tiny, "long", 400)
    assert got.tokens[2] == reference(tiny, "short", 5)


@pytest.mark.parametrize("seed", range(4))
def test_does_holding_and_resuming_at_random_lose_no_token(tiny: Any, seed: int) -> None:
    rng, engine, got = random.Random(seed), EdgeEngine(tiny, slots=8, chunk=16), Collected()
    for burst, text in enumerate(TEXTS, start=1):
        engine.start(order(burst, text))
    held: set[int] = set()
    while engine.busy or held:
        for burst in range(1, 9):
            if burst in held and rng.random() < 0.4:
                engine.resume(burst)
                held.discard(burst)
            elif burst not in got.finish and burst not in held and rng.random() < 0.2:
                engine.preempt(burst)
                held.add(burst)
        stepped = engine.step()
        assert not held & {report.burst for report in stepped}, "a held burst moved"
        got.add(stepped)
    for burst, text in enumerate(TEXTS, start=1):
        assert got.tokens[burst] == reference(tiny, text)
        assert got.text[burst] == tiny.vocabulary.decode(got.tokens[burst])


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.3, "seed": 5, "top_p": 0.9}])
@pytest.mark.parametrize("kept", [1, 7, 23])
def test_does_a_fresh_driver_go_on_from_accepted_tokens(
    tiny: Any, kept: int, sampling: dict[str, Any]
) -> None:
    whole, text = EdgeEngine(tiny, slots=1), "ünïcödé 🙂 the fox"
    whole.start(order(1, text, **sampling))
    expected = Collected().run(whole)
    first, before = EdgeEngine(tiny, slots=1), Collected()
    first.start(order(1, text, **sampling))
    while len(before.tokens.get(1, [])) < kept:
        before.add(first.step())
    second = EdgeEngine(tiny, slots=1)
    second.start(order(1, text, accepted=before.tokens[1], **sampling))
    after = Collected(accepted=kept).run(second)
    assert before.tokens[1] + after.tokens[1] == expected.tokens[1]
    assert before.text[1] + after.text[1] == expected.text[1]
    assert after.finish[1] == expected.finish[1]
    assert after.prompt == expected.prompt


def test_does_a_neighbour_change_what_is_sampled(tiny: Any) -> None:
    sampling = {"temperature": 1.0, "seed": 3}
    alone, crowd = EdgeEngine(tiny, slots=1), EdgeEngine(tiny, slots=4)
    alone.start(order(1, "fox", **sampling))
    for burst in (1, 2, 3):
        crowd.start(order(burst, "fox" if burst == 1 else "dog", **sampling))
    first, second = Collected().run(alone), Collected().run(crowd)
    assert first.tokens[1] == second.tokens[1]
    assert second.tokens[2] == second.tokens[3]


def test_does_the_end_token_end_it_as_in_generate(tiny: Any) -> None:
    tokens = reference(tiny, "hi")
    end = next(t for n, t in enumerate(tokens) if n > 3 and t not in tokens[:n])
    engine = EdgeEngine(with_eos(tiny, end), slots=1)
    engine.start(order(1, "hi"))
    got = Collected().run(engine)
    assert got.finish[1] == "stop"
    assert got.tokens[1] == tokens[: tokens.index(end) + 1]
    assert got.text[1] == tiny.vocabulary.decode(got.tokens[1][:-1])


def test_does_a_stop_string_cut_the_text(tiny: Any) -> None:
    text = tiny.vocabulary.decode(reference(tiny, "hi"))
    stop = text[6:9]
    engine = EdgeEngine(tiny, slots=1)
    engine.start(order(1, "hi", stop=[stop]))
    got = Collected().run(engine)
    assert got.finish[1] == "stop_string"
    assert got.text[1] == text[: text.index(stop)]


def test_is_an_answer_that_was_complete_already_only_finished(tiny: Any) -> None:
    tokens = reference(tiny, "hi")
    engine = EdgeEngine(tiny, slots=1)
    report = engine.start(order(1, "hi", accepted=tokens))
    assert report is not None
    assert (report.tokens, report.text, report.finish, report.index) == ([], "", "length", 24)
    assert not engine.busy


def test_does_a_cancel_take_effect_within_one_step(tiny: Any) -> None:
    engine = EdgeEngine(tiny, slots=3, chunk=4)
    engine.start(order(1, "hi"))
    engine.step(), engine.step(), engine.step(), engine.step(), engine.step(), engine.step()
    engine.start(order(2, "the quick brown fox " * 8))
    engine.step()
    engine.preempt(1)
    engine.resume(1)
    engine.cancel(2)
    assert {report.burst for report in engine.step()} == {1}
    engine.cancel(1)
    assert not engine.busy
    assert engine.step() == []
    assert used(engine) == (0, 0)


def test_is_what_does_not_fit_refused_with_the_numbers(tiny: Any) -> None:
    engine = EdgeEngine(tiny, slots=1)
    with pytest.raises(ECONTEXT, match="more than 512") as refused:
        engine.start(order(1, "a " * 100, max_tokens=500))
    assert refused.value.detail["limit"] == 512
    assert "max_tokens" in refused.value.hint
    with pytest.raises(ECONTEXT, match="no room"):
        engine.start(order(1, "a " * 600, max_tokens=1))
    own = order(1, "hi", max_tokens=24).model_copy(update={"context_tokens": 20})
    with pytest.raises(ECONTEXT, match="own limit"):
        engine.start(own)
    assert not engine.busy


def test_are_wrong_orders_refused(tiny: Any) -> None:
    engine, good = EdgeEngine(tiny, slots=1), order(1, "hi")
    with pytest.raises(EINVAL, match="no message"):
        engine.start(good.model_copy(update={"messages": []}))
    with pytest.raises(ENOENT, match="other"):
        engine.start(good.model_copy(update={"model": "other"}))
    rules = [ChatMessage(role="system", content="x")]
    with pytest.raises(EINVAL, match="no rules"):
        engine.start(good.model_copy(update={"messages": rules}))
    silent = replace(tiny, tokenizer=copy(tiny.tokenizer))
    silent.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(EINVAL, match="nothing to go on"):
        EdgeEngine(silent, slots=1).start(order(1, ""))
    engine.start(good)
    with pytest.raises(EBUSY):
        engine.start(order(2, "hi"))
    engine.preempt(1)
    engine.start(order(2, "hi"))
    with pytest.raises(EBUSY):
        engine.resume(1)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_does_the_real_model_equal_generate() -> None:
    from drivers.edge.loader import load_model
    from drivers.models import ensure

    name = "smollm2-135m-instruct"
    torch.set_num_threads(1)  # as for the small one: another test has the other processor
    loaded = load_model(name, ensure(name), "float32")
    texts = ["What is the capital of France?", "Count: one, two,", "Say: schön 🙂"]
    engine = EdgeEngine(loaded, slots=4)
    for burst, text in enumerate(texts, start=1):
        engine.start(order(burst, text, max_tokens=16).model_copy(update={"model": name}))
    got = Collected().run(engine)
    for burst, text in enumerate(texts, start=1):
        assert got.tokens[burst] == reference(loaded, text, 16)
    assert "Paris" in got.text[1]


@pytest.mark.parametrize(("config", "length"), [(None, 8192), (77, 77)])
def test_is_it_known_before_it_is_loaded_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: int | None, length: int
) -> None:
    from drivers.edge import __main__ as program
    from drivers.models import cards

    if config is not None:
        (tmp_path / "config.json").write_text(f'{{"max_position_embeddings": {config}}}')
    store = SimpleNamespace(path=lambda name: tmp_path)
    monkeypatch.setattr(cards, "Store", SimpleNamespace(default=lambda: store))
    told: dict[str, Any] = {}
    monkeypatch.setattr(program, "run_driver", lambda options, **more: told.update(more) or 0)
    assert program.main(["--model", "smollm2-135m-instruct"]) == 0
    (card,) = told["models"]
    assert (card.price, card.context_length) == (FREE, length)
    assert set(told["features"]) >= {"preempt", "resume_tokens", "count", "fork", "snapshot"}
