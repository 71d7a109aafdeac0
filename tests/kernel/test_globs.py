"""Do globs match what a shell's would, however hostile they are, and in no time?"""

from __future__ import annotations

import re
import time
from fnmatch import translate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.globs import Glob, escaped, globs
from tests.kernel.spelling import A_CAPABILITY, A_GLOB, LETTERS, PROPERTY, glob_and_match


@PROPERTY
@given(glob_and_match() | st.tuples(A_GLOB, A_CAPABILITY))
def test_do_globs_match_as_in_a_shell(pair: tuple[str, str]) -> None:
    glob, text = pair
    assert Glob(glob).matches(text) == bool(re.compile(translate(glob)).match(text))


@PROPERTY
@given(st.text(st.sampled_from(LETTERS), max_size=6), st.text(st.sampled_from(LETTERS), max_size=6))
def test_does_an_escaped_text_match_itself_alone(text: str, other: str) -> None:
    assert Glob(escaped(text)).matches(text)
    assert text == other or not Glob(escaped(text)).matches(other)


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("a*", "a\nb\0c\u2028d", True),
        ("a*", "A", False),
        ("?", "\u202e", True),
        ("?", "\n", True),
        ("[!b-a]", "x", True),
        ("*b*ab", "ab", False),
        ("?", "e\u0301", False),
        ("caf\u00e9", "cafe\u0301", False),
        ("[\\]", "\\", True),
        ("[^a]", "b", False),
        ("a", "a\n", False),
        ("a*b", "ab", True),
        ("ab*ba", "aba", False),
        ("*a*a*", "a", False),
        ("", "", True),
    ],
)
def test_do_line_ends_case_and_unicode_not_surprise(glob: str, text: str, matches: bool) -> None:
    assert Glob(glob).matches(text) == matches
    assert globs((glob,)).match((text,)) == matches


@pytest.mark.parametrize(
    "glob",
    ["*a" * 249 + "b", "*" + "a" * 490 + "b*", "*" + "a" * 245 + "b" + "a" * 245 + "*", "*" * 500],
)
def test_is_a_hostile_glob_as_fast_as_any(glob: str) -> None:
    text = "a" * 1_000_000
    compiled, begin = Glob(glob), time.thread_time()
    compiled.matches(text)
    assert time.thread_time() - begin < 0.1
    assert compiled.cost == 1


def test_does_a_glob_that_could_be_slow_say_so() -> None:
    assert Glob("*" + "a?" * 240).cost == 480
