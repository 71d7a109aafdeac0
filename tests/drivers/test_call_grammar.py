"""Is a model held to calls that can be made, and free in all else?"""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from tokenizers import AddedToken

from drivers.edge.dialect import HERMES, LLAMA, MISTRAL, Dialect
from drivers.edge.engine import EdgeEngine
from drivers.edge.grammar import Grammars
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.talk import ToolSpec
from tests.drivers.orders import Collected, order

NATIVE = Dialect("<tool_call>", "</tool_call>", native=True)
ZONES = {"type": "object", "required": ["zone"], "properties": {"zone": {"enum": ["UTC", "CET"]}}}
NOW = ToolSpec(name="time.now", description="the time", parameters=ZONES)
STOP = ToolSpec(name="stop")
GOOD = '<tool_call>\n{"name": "time.now", "arguments": {"zone": "UTC"}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "stop", "arguments": {}}\n</tool_call>'


def ask(burst: int = 1, text: str = "hi", *tools: ToolSpec, **more: Any) -> Start:
    choice = more.pop("choice", "auto")
    update = {"tools": list(tools or (NOW, STOP)), "tool_choice": choice}
    return order(burst, text, **more).model_copy(update=update)


def takes(tokenizer: Any, text: str, start: Start, dialect: Dialect = HERMES) -> bool:
    """Whether all of this text may be an answer."""
    eos = tokenizer.convert_tokens_to_ids("<|end|>")
    matcher = Grammars(tokenizer, len(tokenizer), [eos], dialect).matcher_for(start)
    assert matcher is not None
    for token in [*tokenizer.encode(text, add_special_tokens=False), eos]:
        allowed = matcher.allowed()
        assert allowed is not None
        if not allowed[token]:
            return False
        matcher.accept(token)
    return True


@pytest.fixture(scope="module")
def marked(tiny_tokenizer: Any) -> Any:
    """A tokenizer with tokens for the marks, and for one more, as Qwen's."""
    tokenizer = copy.deepcopy(tiny_tokenizer)
    marks = ("<tool_call>", "</tool_call>", "<think>")
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    return tokenizer


@pytest.mark.parametrize(
    ("text", "auto", "required", "none"),
    [
        ("the fox", True, False, True),
        ("a <tool", True, False, True),
        (GOOD, True, True, False),
        (OTHER, True, True, False),
        (f"the fox\n{GOOD}", True, False, False),
        (f"{GOOD} the fox", False, False, False),
        (GOOD.replace("UTC", "BST"), False, False, False),
        (GOOD.replace("time.now", "time.then"), False, False, False),
        (GOOD.replace('"zone": "UTC"', '"zone": "UTC", "x": 1'), False, False, False),
        (OTHER.replace("{}", '{"x": 1}'), False, False, False),
        (GOOD.removesuffix("</tool_call>"), False, False, False),
        ("the <tool_call> fox", False, False, False),
    ],
)
def test_is_a_call_held_to_its_form_and_nothing_else(
    tiny_tokenizer: Any, marked: Any, text: str, auto: bool, required: bool, none: bool
) -> None:
    for choice, right in (("auto", auto), ("required", required), ("none", none)):
        start = ask(choice=choice)
        assert takes(tiny_tokenizer, text, start) == right, choice
        assert takes(marked, text, start, NATIVE) == right, choice


def test_may_a_model_call_several_that_knows_how(tiny_tokenizer: Any, marked: Any) -> None:
    assert takes(marked, f"{GOOD}\n{OTHER}", ask(), NATIVE)
    assert not takes(tiny_tokenizer, f"{GOOD}\n{OTHER}", ask())


def test_may_a_model_think_before_it_calls(marked: Any) -> None:
    assert takes(marked, f"<think>the fox{GOOD}", ask(), NATIVE)
    assert takes(marked, "<think>the <think> fox", ask(choice="none"), NATIVE)


def test_are_the_other_ways_to_call_held_to(tiny_tokenizer: Any) -> None:
    one, two = '{"name": "stop", "arguments": {}}', GOOD.splitlines()[1]
    for text in (f"[TOOL_CALLS] [{one}]", f"so: [TOOL_CALLS][{one}, {two}]", "[TOOL"):
        assert takes(tiny_tokenizer, text, ask(), MISTRAL)
    assert not takes(tiny_tokenizer, "[TOOL_CALLS] the fox", ask(), MISTRAL)
    one = one.replace("arguments", "parameters")
    for text in (one, '{"fox": 1}', "the fox", f"it is {one}"):
        assert takes(tiny_tokenizer, text, ask(), LLAMA)
    assert takes(tiny_tokenizer, one, ask(choice="required"), LLAMA)
    for text in (f"{one}; {one}", '{"name": "fox"}', one.replace("stop", "fox")):
        assert not takes(tiny_tokenizer, text, ask(), LLAMA)
    assert not takes(tiny_tokenizer, one, ask(choice="none"), LLAMA)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strange"},
        {"$ref": "#/$defs/nowhere"},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?<=x)["}}},
        {"x-guidance": 7, "type": "object"},
    ],
)
def test_does_any_object_do_for_a_schema_that_cant_be_held_to(
    tiny_tokenizer: Any, schema: dict[str, Any]
) -> None:
    start = ask(1, "hi", ToolSpec(name="odd", parameters=schema), NOW)
    odd = OTHER.replace("stop", "odd").replace("{}", '{"a": "b"}')
    assert takes(tiny_tokenizer, odd, start)
    assert takes(tiny_tokenizer, GOOD, start)
    assert not takes(tiny_tokenizer, GOOD.replace("UTC", "BST"), start)


def test_is_a_grammar_of_ones_own_no_place_for_calls(brief: Any) -> None:
    engine = EdgeEngine(brief, slots=1)
    with pytest.raises(EINVAL, match="grammar of its own"):
        engine.start(ask(choice="required", grammar={"regex": "fox"}))
    engine.start(ask(grammar={"regex": "fox"}))
    assert Collected().run(engine).text[1] == "fox"


# -- what a model makes of it -----------------------------------------------------------------


@pytest.mark.parametrize(("fields", "held"), [(10, True), (3000, False)])
def test_is_a_schema_that_takes_too_long_to_read_none(
    tiny_tokenizer: Any, fields: int, held: bool
) -> None:
    """Everybody waits for that."""
    properties = {f"field{number}": {"type": "string"} for number in range(fields)}
    wide = ToolSpec(name="wide", parameters={"type": "object", "properties": properties})
    other = '<tool_call>\n{"name": "wide", "arguments": {"other": 1}}\n</tool_call>'
    assert takes(tiny_tokenizer, other, ask(1, "hi", wide)) is not held


@pytest.fixture(scope="module")
def brief(tiny: Any) -> Any:
    """One with a template of few words: the tiny model has no room for ours."""
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.chat_template += "{% if tools %}{# <tool_call> #}{% endif %}"
    return replace(tiny, tokenizer=tokenizer)


def answer(engine: EdgeEngine) -> tuple[str, StepReport]:
    text, last = "", None
    while engine.busy:
        for report in engine.step():
            text, last = text + report.text, report
    assert last is not None
    return text, last


@pytest.mark.parametrize("seed", range(3))
def test_does_even_a_random_model_call_a_tool_that_must(brief: Any, seed: int) -> None:
    engine = EdgeEngine(brief, slots=1)
    start = ask(1, "the fox", choice="required", max_tokens=120, temperature=1.5, seed=seed)
    engine.start(start)
    text, last = answer(engine)
    assert (text, last.finish) == ("", "tool_calls")
    (call,) = last.tool_calls
    assert call.id == "call_1_0"
    assert json.loads(call.arguments) in ({"zone": "UTC"}, {"zone": "CET"}, {})
    assert ("zone" in call.arguments) == (call.name == "time.now")


@pytest.mark.parametrize("seed", range(2))
def test_is_a_call_the_same_after_a_pause(brief: Any, seed: int) -> None:
    starts = [
        ask(n, text, choice="required", max_tokens=120) for n, text in enumerate(("a", "fox"), 1)
    ]
    calm, rng = EdgeEngine(brief, slots=2), random.Random(seed)
    for start in starts:
        calm.start(start)
    expected = Collected().run(calm)
    engine, got, held = EdgeEngine(brief, slots=2, chunk=16), Collected(), set()
    calls: list[Any] = []
    for start in starts:
        engine.start(start)
    while engine.busy or held:
        for burst in (1, 2):
            if burst in held and rng.random() < 0.5:
                engine.resume(burst)
                held.discard(burst)
            elif burst not in got.finish and burst not in held and rng.random() < 0.3:
                engine.preempt(burst)
                held.add(burst)
        reports = engine.step()
        calls += [call.id for report in reports for call in report.tool_calls]
        got.add(reports)
    assert got.tokens == expected.tokens
    assert got.finish == {1: "tool_calls", 2: "tool_calls"}
    assert sorted(calls) == ["call_1_0", "call_2_0"]


def test_is_a_call_the_same_on_another_driver(brief: Any) -> None:
    start = ask(1, "fox", choice="required", max_tokens=120)
    whole = EdgeEngine(brief, slots=1)
    whole.start(start)
    before = Collected()
    tokens: list[int] = []
    last: StepReport | None = None
    while whole.busy:
        reports = whole.step()
        before.add(reports)
        tokens, last = before.tokens[1], reports[-1]
    assert last is not None
    for kept in (1, 5, len(tokens) // 2, len(tokens) - 1):
        other = EdgeEngine(brief, slots=1)
        other.start(start.model_copy(update={"accepted": tokens[:kept]}))
        text, end = answer(other)
        assert (text, end.tool_calls) == ("", last.tool_calls)
    # One that was whole already is only reported.
    said = EdgeEngine(brief, slots=1).start(start.model_copy(update={"accepted": tokens}))
    assert said is not None
    assert (said.finish, said.tool_calls) == ("tool_calls", last.tool_calls)


def test_does_a_call_go_on_that_another_engine_writes_in_its_own_way(brief: Any) -> None:
    wide = '<tool_call>{"name":"stop",\n"arguments":{}}\n</tool_call>'
    tokens = brief.tokenizer.encode(wide, add_special_tokens=False)
    for kept in (len(tokens) - 3, len(tokens)):
        engine = EdgeEngine(brief, slots=1)
        engine.start(ask(1, "hi", accepted=tokens[:kept], max_tokens=kept + 4))
        text, last = answer(engine)
        assert (text, last.finish, last.error) == ("", "tool_calls", None)
        assert [(call.name, call.arguments) for call in last.tool_calls] == [("stop", "{}")]
