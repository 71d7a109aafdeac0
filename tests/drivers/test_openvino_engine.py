"""Does the OpenVINO engine give what the model says, and keep what an engine promises?

An 8-bit model is not the fp32 one: their greedy answers begin alike, and may part where two tokens
are nearly as likely.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("openvino_genai")

from drivers.clock import Now, Sleep
from drivers.models import Store, ensure
from drivers.openvino.conversion import converted
from drivers.openvino.engine import OpenVINOEngine
from drivers.openvino.loader import LoadedModel, load_model
from drivers.openvino.pipeline import Pipeline
from drivers.openvino.prefixes import BLOCK
from drivers.openvino.words import words_of
from llmagentos.abi.errors import EBUSY, ECONTEXT, EINVAL, ENOENT
from llmagentos.abi.talk import ChatMessage, ToolSpec
from tests.drivers.orders import Collected
from tests.drivers.questions import CLOCK, LONG, NAME, TEXTS, alone, answer, ask, common, timed

real = pytest.mark.model


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load_model(NAME, ensure(NAME))


@pytest.fixture(scope="module")
def pipeline(loaded: LoadedModel) -> Pipeline:
    """One for all tests: making one takes longer than most of them."""
    file = converted(NAME, Store.default(), lambda note, progress=None: None)
    return Pipeline(
        file, loaded.card.kv_bytes_per_token, 8, kv_bytes=96 * 1024**2,
        activations="float32", words=words_of(loaded.tokenizer),
    )  # fmt: skip


@pytest.fixture
def make(loaded: LoadedModel, pipeline: Pipeline) -> Any:
    """Engines by their number of slots."""
    return lambda slots: OpenVINOEngine(loaded, slots, pipeline)


# -- the answers ------------------------------------------------------------------------------


@real
def test_do_answers_begin_as_those_of_the_exact_model(make: Any, loaded: LoadedModel) -> None:
    import torch

    from drivers.edge.loader import load_model as load_exact
    from tests.drivers.orders import reference

    torch.set_num_threads(1)  # another test has the other processor
    exact = load_exact(NAME, ensure(NAME), "float32")
    assert loaded.vocabulary.eos == exact.vocabulary.eos
    assert loaded.card.parameters == exact.card.parameters
    lengths = []
    for text in TEXTS:
        got = alone(make, text, max_tokens=16)
        assert got.text[1] == loaded.vocabulary.decode(got.tokens[1])
        lengths.append(common(got.tokens[1], reference(exact, text, 16)))
    assert min(lengths) >= 4
    assert "Paris" in alone(make, TEXTS[0]).text[1]


@real
def test_do_many_at_once_get_their_own_answers(make: Any) -> None:
    engine, got = make(4), Collected()
    for burst, text in enumerate(TEXTS, start=1):
        got.start(engine, ask(burst, text, max_tokens=6 + burst))
    assert engine.stats.active == 4
    got.add(engine.step())
    assert engine.stats.kv_bytes > 0
    got.run(engine)
    for burst, text in enumerate(TEXTS, start=1):
        one = alone(make, text, max_tokens=6 + burst)
        assert got.prompt[burst] == one.prompt[1]
        assert got.finish[burst] == one.finish[1]
        assert common(got.tokens[burst], one.tokens[1]) >= 4
    assert engine.stats[:2] == (0, 0)


@real
def test_is_a_prefix_that_two_share_read_once(make: Any, loaded: LoadedModel) -> None:
    engine, got = make(3), Collected()
    got.start(engine, ask(1, f"{LONG} Repeat the first word.", max_tokens=4))
    got.start(engine, ask(2, f"{LONG} Repeat the last word.", max_tokens=4))
    first = engine.step()
    assert [report.burst for report in first] == [1]
    got.add(first)
    got.run(engine)
    assert got.prompt[1] > 2 * BLOCK
    again = alone(make, f"{LONG} Repeat the last word.", max_tokens=4)
    assert again.tokens[1] == got.tokens[2]


@real
def test_does_an_answer_go_on_from_accepted_tokens(make: Any, loaded: LoadedModel) -> None:
    whole = alone(make, TEXTS[0])
    kept = whole.tokens[1][:5]
    engine = make(1)
    rest = Collected(accepted=5).start(engine, ask(1, TEXTS[0], accepted=kept)).run(engine)
    assert common(whole.tokens[1], kept + rest.tokens[1]) >= 7
    assert whole.text[1].startswith(loaded.vocabulary.decode(kept) + rest.text[1][:4])
    assert rest.prompt == whole.prompt


@real
def test_is_an_answer_that_was_complete_already_only_finished(make: Any) -> None:
    engine = make(1)
    report = engine.start(ask(1, "hi", accepted=[30, 31], max_tokens=2))
    assert report is not None
    assert (report.tokens, report.finish, report.index) == ([], "length", 2)
    assert not engine.busy


@real
def test_are_the_fast_answers_much_the_same(make: Any, loaded: LoadedModel) -> None:
    file = converted(NAME, Store.default(), lambda note, progress=None: None)
    fast = Pipeline(file, loaded.card.kv_bytes_per_token, 1, kv_bytes=32 * 1024**2, threads=1)
    engine = OpenVINOEngine(loaded, 1, fast)
    got = Collected().start(engine, ask(1, TEXTS[2])).run(engine)
    assert common(got.tokens[1], alone(make, TEXTS[2]).tokens[1]) >= 3


@real
def test_where_an_answer_ends(make: Any, loaded: LoadedModel, pipeline: Pipeline) -> None:
    whole = alone(make, TEXTS[0])
    stop = whole.text[1][6:9]
    cut = alone(make, TEXTS[0], stop=[stop])
    assert cut.finish[1] == "stop_string"
    assert cut.text[1] == whole.text[1][: whole.text[1].index(stop)]
    end = whole.tokens[1][4]
    ends = LoadedModel(
        loaded.tokenizer, loaded.card, replace(loaded.vocabulary, eos=frozenset({end}))
    )
    got = Collected().start(engine := OpenVINOEngine(ends, 1, pipeline), ask(1, TEXTS[0]))
    got.run(engine)
    assert got.finish[1] == "stop"
    assert got.tokens[1] == whole.tokens[1][: whole.tokens[1].index(end) + 1]


@real
def test_are_sampled_answers_those_of_their_seed(make: Any) -> None:
    sampling = {"temperature": 1.5, "top_p": 0.95, "top_k": 100}
    one, same, other = (alone(make, TEXTS[3], seed=seed, **sampling) for seed in (5, 5, 6))
    assert one.tokens[1] == same.tokens[1]
    assert one.tokens[1] != other.tokens[1]


# -- tools ------------------------------------------------------------------------------------


@real
def test_does_a_small_model_call_a_tool_and_answer(make: Any) -> None:
    text, tokens, last = answer(make(1), timed("required"))
    assert (text, last.finish) == ("", "tool_calls")
    (call,) = last.tool_calls
    assert call.id == "call_1_0"
    fits = {"time.now": Now, "time.sleep": Sleep}[call.name]
    fits.model_validate(json.loads(call.arguments))
    for kept in (2, 7, 10, len(tokens) - 3):  # in the middle of the mark, the name, and all
        begun = timed("required", accepted=tokens[:kept])
        rest, _, end = answer(make(1), begun)
        assert (rest, end.finish) == ("", "tool_calls")
        assert [one.name for one in end.tool_calls] == [call.name]
    wanted = ChatMessage(role="assistant", content="", tool_calls=[call])
    result = ChatMessage(role="tool", content="2026-05-04T10:11:12+02:00", tool_call=call.id)
    text, _, last = answer(make(1), timed("auto", wanted, result))
    assert last.finish in ("stop", "length")
    assert text


@real
def test_does_a_schema_that_openvino_cant_read_hurt_nobody(make: Any) -> None:
    schemas: list[Any] = [
        {"type": "strange"},
        {"$ref": "#/$defs/x"},
        {"type": "object", "properties": {"a": {"enum": []}, "b": {"pattern": "(?<=x)["}}},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 1}}},
        {"type": "object", "properties": {'ä"\\': {"type": "string"}}},
        {"type": "object", "properties": {"a": {"enum": ['ä"\\\n', {"b": 1}]}}},
        {"anyOf": [{"type": "object"}, {"type": "null"}]},
    ]
    odd = [ToolSpec(name=f"odd{n}", parameters=one) for n, one in enumerate(schemas)]
    _, _, last = answer(make(1), timed("required", tools=[*CLOCK, *odd], max_tokens=4))
    assert (last.error, last.finish) == (None, "length")


@real
def test_is_a_call_required_only_where_it_can_be(loaded: Any, pipeline: Any) -> None:
    from drivers.edge.dialect import LLAMA

    other = replace(loaded, vocabulary=replace(loaded.vocabulary, dialect=LLAMA))
    engine = OpenVINOEngine(other, 1, pipeline)
    with pytest.raises(EINVAL, match="can't make this model call"):
        engine.start(timed("required"))
    assert answer(engine, timed("none", max_tokens=3))[2].finish == "length"


# -- holding, stopping, refusing --------------------------------------------------------------


@real
def test_is_a_prompt_counted_before_anything_is_spent(make: Any) -> None:
    plain, engine, got = alone(make, TEXTS[1]), make(1), Collected()
    got.start(engine, ask(2, TEXTS[1], hold=True))
    assert got.prompt[2] == plain.prompt[1]
    assert (engine.busy, engine.stats[:2], engine.step()) == (False, (0, 0), [])
    engine.resume(2)
    got.run(engine)
    assert got.tokens[2] == plain.tokens[1]


@real
def test_does_a_held_answer_go_on(make: Any) -> None:
    engine, got = make(1), Collected()
    got.start(engine, ask(1, TEXTS[0]))
    got.add(engine.step())
    got.add(engine.step())
    engine.preempt(1)
    assert (engine.busy, engine.step()) == (False, [])
    engine.resume(1)
    got.run(engine)
    assert common(got.tokens[1], alone(make, TEXTS[0]).tokens[1]) >= 4


@real
def test_does_a_cancel_take_effect_at_once(make: Any) -> None:
    engine = make(3)
    for burst in (1, 2, 3):
        engine.start(ask(burst, f"{LONG} {burst}" if burst > 1 else "hi"))
    engine.step()
    engine.cancel(2)
    while engine.busy and len(engine.step()) < 2:
        pass
    assert {report.burst for report in engine.step()} == {1, 3}
    engine.clear()
    assert (engine.busy, engine.step(), engine.stats[:2]) == (False, [], (0, 0))
    assert alone(make, TEXTS[0]).finish[1] in ("stop", "length")


@real
def test_are_wrong_orders_refused(make: Any) -> None:
    engine, good = make(1), ask(1, "hi")
    with pytest.raises(EINVAL, match="no message"):
        engine.start(good.model_copy(update={"messages": []}))
    with pytest.raises(ENOENT, match="other"):
        engine.start(good.model_copy(update={"model": "other"}))
    with pytest.raises(ECONTEXT, match="own limit"):
        engine.start(good.model_copy(update={"context_tokens": 20}))
    with pytest.raises(ECONTEXT, match="KV cache"):
        engine.start(ask(1, "hi", max_tokens=8000))
    engine.start(ask(2, "hi", hold=True))
    engine.start(good)
    with pytest.raises(EBUSY):
        engine.start(ask(3, "hi"))
    with pytest.raises(EBUSY):
        engine.resume(2)
    engine.clear()


@real
def test_does_what_fails_fail_alone(make: Any, pipeline: Any, monkeypatch: Any) -> None:
    engine, got = make(2), Collected()
    got.start(engine, ask(1, TEXTS[0]))
    got.add(engine.step())
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "add", lambda *_: 1 / 0)
        got.start(engine, ask(2, TEXTS[1]))
        got.add(engine.step())
    assert got.finish == {2: "error"}
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "step", lambda: 1 / 0)
        got.add(engine.step())
    assert got.finish == {1: "error", 2: "error"}
    assert not engine.busy
    assert "Paris" in alone(make, TEXTS[0]).text[1]
