"""Does a local engine go on from a text that another kind of driver has begun?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from drivers.edge.engine import EdgeEngine
from drivers.edge.sequence import Sequence, Vocabulary
from llmagentos.abi.driver import Start
from tests.drivers.orders import TEXTS, Collected, order

LETTERS = Vocabulary(
    decode=lambda tokens: "".join(map(chr, tokens)),
    encode=lambda text: [ord(letter) for letter in text],
    eos=frozenset({0}),
)


def begun(text: str, counted: int, **sampling: Any) -> Start:
    """A burst with this text, which another driver counts as so many tokens."""
    start = order(1, "hi", accepted=[0] * counted, **sampling)
    return start.model_copy(update={"text": text})


def said(sequence: Sequence, text: str) -> str:
    """What of these letters is told, one after the other, until it ends."""
    told = ""
    for letter in text:
        if sequence.finish is None:
            told += sequence.accept(ord(letter))
    return told


def test_is_it_counted_from_where_the_other_one_was() -> None:
    sequence = Sequence(begun("one two ", 2, max_tokens=5), [1], LETTERS)
    assert sequence.tokens == LETTERS.encode("one two ")
    assert said(sequence, "abcdef") == "abc"
    assert sequence.finish == "length"
    assert sequence.report([ord("c")], "c").index == 4


@pytest.mark.parametrize("more", ["D, of course", "Dx"])
def test_is_nothing_told_twice_that_was_held_back_here_and_not_there(more: str) -> None:
    sequence = Sequence(begun("the EN", 1, stop=["END", "ENEMY"]), [1], LETTERS)
    assert said(sequence, more) == ""
    assert sequence.finish == "stop_string"
    other = Sequence(begun("the EN", 1, stop=["END", "ENEMY"]), [1], LETTERS)
    assert said(other, "Try!") == "Try!"


def test_is_an_answer_over_that_has_a_stop_string_already() -> None:
    assert Sequence(begun("a b STOP", 3, stop=["STOP"]), [1], LETTERS).finish == "stop_string"


@pytest.mark.parametrize("text", ["", "ab"])
def test_is_an_answer_over_that_was_as_long_as_it_may_be(text: str) -> None:
    sequence = Sequence(begun(text, 3, max_tokens=3), [1], LETTERS)
    assert (sequence.finish, sequence.left) == ("length", 0)


@pytest.mark.parametrize("kept", [1, 7, 23])
@pytest.mark.parametrize("text", TEXTS[:3])
def test_does_the_model_go_on_as_if_it_had_read_the_text(tiny: Any, text: str, kept: int) -> None:
    first, before = EdgeEngine(tiny, slots=1), Collected()
    first.start(order(1, text, max_tokens=40))
    while len(before.tokens.get(1, [])) < kept:
        before.add(first.step())
    shown = before.text[1]
    by_text = order(1, text, accepted=[0] * kept, max_tokens=40)
    second = EdgeEngine(tiny, slots=1)
    second.start(by_text.model_copy(update={"text": shown}))
    after = Collected(accepted=kept).run(second)
    # The same tokens as if the text had been read as this tokenizer writes it.
    tokens = tiny.vocabulary.encode(shown)
    right = EdgeEngine(tiny, slots=1)
    right.start(order(1, text, accepted=tokens, max_tokens=40 - kept + len(tokens)))
    expected = Collected(accepted=len(tokens)).run(right)
    assert after.tokens[1] == expected.tokens[1]
    assert after.text[1] == expected.text[1]
    assert after.finish[1] == expected.finish[1]


def test_is_what_fits_no_more_refused(tiny: Any) -> None:
    small = replace(tiny, card=tiny.card.model_copy(update={"context_length": 90}))
    long = begun("x y z " * 200, 3).model_copy(update={"text": "x y z " * 200})
    with pytest.raises(Exception, match="more than") as caught:
        EdgeEngine(small, slots=1, runner=None).start(long)
    assert caught.value.code == "ECONTEXT"  # type: ignore[attr-defined]
