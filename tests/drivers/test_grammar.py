"""Does an answer match what it has to, whatever the model would rather say?"""

from __future__ import annotations

import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.edge.runners import make_runner
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.talk import ToolSpec
from tests.drivers.orders import Collected, order, reference

SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": ["fox", "dog"]}, "n": {"type": "integer", "maximum": 9}},
    "required": ["a", "n"],
    "additionalProperties": False,
}


def answers(tiny: Any, *orders: Any) -> Collected:
    engine, got = EdgeEngine(tiny, slots=len(orders)), Collected()
    for one in orders:
        engine.start(one)
    return got.run(engine)


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_is_it_json_of_the_schema(tiny: Any, temperature: float) -> None:
    more = {"temperature": temperature, "seed": 5, "max_tokens": 200}
    got = answers(tiny, order(1, "the fox", grammar={"json_schema": SCHEMA}, **more))
    assert got.finish[1] == "stop"
    said = json.loads(got.text[1])
    assert said["a"] in {"fox", "dog"}
    assert said["n"] <= 9


def test_does_it_match_a_regular_expression_or_a_grammar(tiny: Any) -> None:
    lark = 'start: "the " ("fox" | "dog") " "+'
    got = answers(
        tiny,
        order(1, "x", grammar={"regex": r"(ab|ca){3}z"}),
        order(2, "x", grammar={"lark": lark}, max_tokens=20),
        order(3, "x"),
    )
    assert re.fullmatch(r"(ab|ca){3}z", got.text[1])
    assert re.match(r"the (fox|dog) ", got.text[2])
    assert got.tokens[3] == reference(tiny, "x"), "its neighbours changed it"


def test_does_it_go_on_from_accepted_tokens(tiny: Any) -> None:
    grammar = {"regex": r"(ab|ca){6}z"}
    whole = answers(tiny, order(1, "x", grammar=grammar)).tokens[1]
    half = len(whole) // 2
    got = Collected(half)
    engine = EdgeEngine(tiny, slots=1)
    engine.start(order(1, "x", grammar=grammar, accepted=whole[:half]))
    assert got.run(engine).tokens[1] == whole[half:]


@pytest.mark.parametrize(
    "grammar",
    [
        {"regex": "(a"},
        {"json_schema": {"type": "nonsense"}},
        {"json_schema": {"$ref": "http://example.com/x"}},
        {"lark": "start: missing"},
    ],
)
def test_is_a_grammar_that_can_not_be_used_refused(tiny_model: Any, grammar: Any) -> None:
    engine = EdgeEngine(tiny_model, slots=2)
    engine.start(order(1, "x"))
    with pytest.raises(EINVAL, match="grammar"):
        engine.start(order(2, "x", grammar=grammar))
    assert Collected().run(engine).tokens[1] == reference(tiny_model, "x")


def chain(links: int) -> str:
    rules = [f"a{n}: a{n + 1}" for n in range(links)]
    return "\n".join(["start: a0", *rules, f'a{links}: "fox"'])


@pytest.mark.parametrize("links", [10, 1600])
def test_does_a_long_chain_of_rules_end_no_process(tiny_model: Any, links: int) -> None:
    engine = EdgeEngine(tiny_model, slots=1)
    try:
        engine.start(order(1, "x", grammar={"lark": chain(links)[:20_000]}))
    except EINVAL:
        assert links > 10
    else:
        assert Collected().run(engine).text[1] == "fox"


def test_does_a_schema_that_leads_on_and_on_end_no_process(tiny_model: Any) -> None:
    names = [f"d{n}" for n in range(400)]
    links = itertools.pairwise(names)
    schema = {"$ref": "#/$defs/d0", "$defs": {
        **{one: {"allOf": [{"$ref": f"#/$defs/{other}"}]} for one, other in links},
        names[-1]: {"const": "fox"},
    }}  # fmt: skip
    engine = EdgeEngine(tiny_model, slots=1)
    try:
        engine.start(order(1, "x", grammar={"json_schema": schema}))
    except EINVAL:
        return
    assert Collected().run(engine).text[1] == '"fox"'


def test_does_a_grammar_without_bounds_hold_nobody_up(tiny_model: Any) -> None:
    engine, got = EdgeEngine(tiny_model, slots=2), Collected()
    engine.start(order(1, "x"))
    wild = "(((a{1,1000}){1,1000}){1,1000}){1,1000}b[^\\x00]{100000}"
    engine.start(order(2, "x", grammar={"regex": wild}))
    begun = time.monotonic()
    got.run(engine)
    assert time.monotonic() - begun < 60
    assert got.tokens[1] == reference(tiny_model, "x")


def test_does_a_model_come_up_whose_tokenizer_llguidance_does_not_know(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise ValueError("Only fast tokenizers are supported")

    monkeypatch.setattr("drivers.edge.grammar.from_tokenizer", unknown)
    room = 64 * BLOCK * tiny_model.card.kv_bytes_per_token
    runner = make_runner(tiny_model, 2, room, tmp_path)
    engine, got = EdgeEngine(tiny_model, slots=2, chunk=32, runner=runner), Collected()
    engine.warm_up()
    with pytest.raises(EINVAL, match="fast tokenizers"):
        engine.start(order(1, "x", grammar={"regex": "a+"}))
    calls = order(2, "x", max_tokens=8).model_copy(update={"tools": [ToolSpec(name="t")]})
    with pytest.raises(EINVAL, match="tool_choice required"):
        engine.start(calls.model_copy(update={"tool_choice": "required"}))
    engine.start(calls)
    engine.start(order(3, "x", max_tokens=8))
    got.run(engine)
    assert got.tokens[3] == reference(tiny_model, "x", 8)
    assert got.finish.keys() == {2, 3}


def test_are_probabilities_those_of_the_model(tiny: Any) -> None:
    import torch

    got = answers(tiny, order(1, "the fox", max_tokens=1)).tokens[1]
    engine = EdgeEngine(tiny, slots=1)
    engine.start(order(1, "the fox", max_tokens=3, logprobs=4, repetition_penalty=5.0))
    reports = [report for _ in range(3) for report in engine.step()]
    prompt = tiny.tokenizer.apply_chat_template(
        [{"role": "user", "content": "the fox"}], add_generation_prompt=True,
        return_tensors="pt", return_dict=True,
    )  # fmt: skip
    with torch.inference_mode():
        right = tiny.model(**prompt).logits[0, -1].double().log_softmax(-1)
    (first,) = reports[0].logprobs
    assert [one.token for one in first.top] == right.topk(4).indices.tolist()
    assert first.top[0].token == got[0]
    for one in (first, *first.top):
        assert one.logprob == pytest.approx(float(right[one.token]), abs=1e-4)
    assert all(len(report.logprobs) == 1 for report in reports)
