"""Is all text there, none of it twice, and never half a character?"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.edge.detokenizer import Detokenizer

TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("abc the\n.,é🙂👩‍🔬漢字ß"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=40,
)


def pieces(decode: Any, tokens: list[int], stop: list[str] | None = None) -> tuple[list[str], bool]:
    detokenizer = Detokenizer(decode, stop or [])
    texts = [detokenizer.push(token) for token in tokens]
    texts.append(detokenizer.finish())
    return texts, detokenizer.stopped


def coded(tokenizer: Any) -> Any:
    return lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_do_the_texts_add_up_without_half_characters(tiny_tokenizer: Any, text: str) -> None:
    tokens = tiny_tokenizer.encode(text, add_special_tokens=False)
    texts, _ = pieces(coded(tiny_tokenizer), tokens)
    assert "".join(texts) == tiny_tokenizer.decode(tokens, skip_special_tokens=True) == text
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in texts)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_do_the_texts_add_up_for_any_tokens(tiny_tokenizer: Any, data: st.DataObject) -> None:
    numbers = st.integers(0, len(tiny_tokenizer) - 1)
    tokens = data.draw(st.lists(numbers, max_size=40))
    texts, _ = pieces(coded(tiny_tokenizer), tokens)
    assert "".join(texts) == tiny_tokenizer.decode(tokens, skip_special_tokens=True)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS.filter(lambda t: "\ufffd" not in t), data=st.data())
def test_is_the_text_cut_at_the_stop_string(
    tiny_tokenizer: Any, text: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text)))
    stop = text[start : start + data.draw(st.integers(1, 5))] or "\x00\x01"
    tokens = tiny_tokenizer.encode(text, add_special_tokens=False)
    texts, stopped = pieces(coded(tiny_tokenizer), tokens, [stop, "\x02never\x02"])
    assert "".join(texts) == text.split(stop, maxsplit=1)[0]
    assert stopped == (stop in text)


def test_is_what_may_begin_a_stop_string_held_back() -> None:
    detokenizer = Detokenizer(lambda tokens: "".join(map(chr, tokens)), ["END", "ENOUGH"])
    texts = [detokenizer.push(ord(letter)) for letter in "xENxENDy"]
    assert texts == ["x", "", "", "ENx", "", "", "", ""]
    assert detokenizer.stopped


def test_is_what_was_held_back_given_at_the_end() -> None:
    detokenizer = Detokenizer(lambda tokens: "".join(map(chr, tokens)), ["END"])
    assert [detokenizer.push(ord(letter)) for letter in "aEN"] == ["a", "", ""]
    assert detokenizer.finish() == "EN"


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, data=st.data())
def test_does_replaying_tokens_restore_it(
    tiny_tokenizer: Any, text: str, data: st.DataObject
) -> None:
    decode, tokens = coded(tiny_tokenizer), tiny_tokenizer.encode(text, add_special_tokens=False)
    cut = data.draw(st.integers(0, len(tokens)))
    one = Detokenizer(decode, ["e🙂", "the"])
    said = "".join(one.push(token) for token in tokens[:cut])
    two = Detokenizer(decode, ["e🙂", "the"])
    assert "".join(two.push(token) for token in tokens[:cut]) == said
    rest = [(one.push(token), two.push(token)) for token in tokens[cut:]]
    assert all(mine == theirs for mine, theirs in rest)
    assert one.finish() == two.finish()


def test_does_the_first_of_two_stops_in_one_token_win() -> None:
    words = ["one ", "two END three STOP", " four"]
    detokenizer = Detokenizer(
        lambda tokens: "".join(words[token] for token in tokens), ["STOP", "END"]
    )
    assert [detokenizer.push(token) for token in range(3)] == ["one ", "two ", ""]
