"""Are the calls that a model writes read for what they are, alone and in a sequence?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.edge.calls import Calls
from drivers.edge.dialect import HERMES, LLAMA, MISTRAL, Dialect
from drivers.edge.sequence import Sequence
from drivers.edge.telling import written
from drivers.huggingface import decoder
from llmagentos.abi.driver import Start
from llmagentos.abi.talk import ToolCall
from tests.drivers.talk import LETTERS, called, with_tools


def heard(dialect: Dialect, text: str, *, piece: int = 1, cut: bool = False) -> tuple[str, Any]:
    """What is shown of a text that comes in pieces, and the calls in it."""
    calls, shown = Calls(7, dialect), ""
    for place in range(0, len(text), piece):
        shown += calls.push(text[place : place + piece])
    rest, found = calls.finish(cut=cut)
    return shown + rest, [(call.name, call.arguments) for call in found]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")) | st.just("</tool_call>"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=4,
)  # fmt: skip
WISHES = st.tuples(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=4).map(
        lambda value: json.dumps(value, ensure_ascii=False)
    ),
)
WORDS = st.text("ab <{\n\"'}[").map(str.rstrip)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(WORDS, st.lists(WISHES, min_size=1, max_size=4), st.integers(1, 9))
def test_are_calls_read_as_they_are_written(
    text: str, wishes: list[tuple[str, str]], piece: int
) -> None:
    calls = [called(name, arguments) for name, arguments in wishes]
    answer = "\n".join([text, *map(written, calls)])
    assert heard(HERMES, answer, piece=piece) == (text, wishes)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.text("<>tool_cal/{}\"'name:x arguments[]\n\\") | st.text(), st.booleans())
@pytest.mark.parametrize("dialect", [HERMES, LLAMA, MISTRAL])
def test_is_nothing_shown_twice_or_raised_whatever_comes(
    dialect: Dialect, text: str, cut: bool
) -> None:
    for answer in (text, f"{dialect.opening}{text}", f'{dialect.opening}{{"name": "x"{text}'):
        shown, calls = heard(dialect, answer, cut=cut)
        assert answer.startswith(shown)
        assert shown == answer or calls or cut


@pytest.mark.parametrize(
    ("text", "said", "arguments"),
    [
        ("{'name': 'x', 'arguments': {'a': 1}}", "", "{'a': 1}"),
        ('{"name": "x", "arguments": {"a": 1}', "", '{"a": 1}'),
        ('{"name": "x", "arguments": {"a": "b', "", '{"a": "b'),
        ('{"name": "x", "parameters": [1]}', "", "[1]"),
        ('{"name": "x", "arguments": "{\\"a\\": 1}"}', "", '{"a": 1}'),
        ('{"name": "x"}', "", "{}"),
        ('{"name": "x", "arguments": "\\ud800"}', "", "?"),
    ],
)
def test_is_a_call_that_is_not_well_formed_passed_on(text: str, said: str, arguments: str) -> None:
    for answer in (f"So.\n<tool_call>\n{text}", f"So.\n<tool_call>{text}</tool_call> Done."):
        assert heard(HERMES, answer) == ("So.", [("x", arguments)])


@pytest.mark.parametrize(
    "text", ["<tool_call>", "say <tool_call> first", "<tool_call>{}</tool_call>", "a <tool", "{ "]
)
def test_does_what_is_no_call_stay_text(text: str) -> None:
    assert heard(HERMES, text) == (text, [])


def test_is_a_call_that_was_cut_off_none() -> None:
    whole = '<tool_call>{"name": "x", "arguments": {}}'
    assert heard(HERMES, f'a {whole}</tool_call><tool_call>{{"name": "y"', cut=True) == (
        "a", [("x", "{}")]
    )  # fmt: skip
    assert heard(HERMES, whole, cut=True) == ("", [("x", "{}")])
    assert heard(HERMES, whole[:-1], cut=True) == ("", [])


def test_are_the_other_ways_to_call_read() -> None:
    two = '[{"name": "x", "arguments": {"a": 1}}, {"name": "y", "arguments": {}}]'
    assert heard(MISTRAL, f"[TOOL_CALLS] {two}") == ("", [("x", '{"a": 1}'), ("y", "{}")])
    one = '{"name": "x", "parameters": {"a": 1}}'
    assert heard(LLAMA, f"{one}; {one}") == ("", [("x", '{"a": 1}')])
    for text in ('{"name": "Bob", "age": 3}', "{}", f"As JSON: {one}", "{ it goes on"):
        assert heard(LLAMA, text) == (text, [])


def test_do_marks_read_that_are_special_tokens() -> None:
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    words.add_special_tokens([AddedToken("[TOOL_CALLS]"), AddedToken("</s>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
    assert decoder(tokenizer)([0, 2, 1, 3]) == "a b"
    assert decoder(tokenizer, "[TOOL_CALLS]")([0, 2, 1, 3]) == "a [TOOL_CALLS] b"


# -- in a sequence ----------------------------------------------------------------------------

ANSWER = (
    'I look.\n<tool_call>\n{"name": "time.now", "arguments": {"timezone": "UTC"}}\n</tool_call>'
)


def run(start: Start, text: str) -> tuple[str, Sequence]:
    sequence = Sequence(start, [1], LETTERS)
    shown = ""
    for token in [*LETTERS.encode(text), 0]:
        if sequence.finish is None:
            shown += sequence.accept(token)
    return shown, sequence


def test_does_an_answer_end_with_its_calls() -> None:
    shown, sequence = run(with_tools(max_tokens=500), ANSWER)
    report = sequence.report([0], "")
    assert (shown, report.finish) == ("I look.", "tool_calls")
    assert report.tool_calls == [
        ToolCall(id="call_7_0", name="time.now", arguments='{"timezone": "UTC"}')
    ]


@pytest.mark.parametrize("kept", range(0, len(ANSWER), 3))
def test_does_another_driver_give_the_same_calls(kept: int) -> None:
    shown, whole = run(with_tools(max_tokens=500), ANSWER)
    tokens = LETTERS.encode(ANSWER[:kept])
    before = Calls(7, HERMES).push(ANSWER[:kept])
    rest, sequence = run(with_tools(accepted=tokens, max_tokens=500), ANSWER[kept:])
    assert before + rest == shown
    assert sequence.tool_calls == whole.tool_calls
    assert sequence.finish == "tool_calls"


def test_is_a_text_gone_on_with_that_others_have_shown() -> None:
    begun = with_tools(accepted=[9, 9, 9], max_tokens=500)
    begun = begun.model_copy(update={"text": "I look.\n"})
    shown, sequence = run(begun, ANSWER.removeprefix("I look.\n"))
    assert (shown, len(sequence.tool_calls)) == ("", 1)
    other, _ = run(begun, "Wait")
    assert other == "Wait"


def test_is_a_mark_a_text_like_any_other_where_nothing_can_be_called() -> None:
    for update in ({"tools": []}, {"tool_choice": "none"}):
        shown, sequence = run(with_tools(max_tokens=500).model_copy(update=update), ANSWER)
        assert (shown, sequence.finish, sequence.tool_calls) == (ANSWER, "stop", [])


def test_is_an_answer_too_long_for_its_call_cut() -> None:
    shown, sequence = run(with_tools(max_tokens=40), ANSWER)
    assert (shown, sequence.finish, sequence.tool_calls) == ("I look.", "length", [])
