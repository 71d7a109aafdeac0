"""Globs and capabilities as hostile authors spell them, drawn at random, the same in each run."""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st

PROPERTY: Final = settings(max_examples=250, derandomize=True, deadline=None)
"""How much is drawn."""


PIECES: Final = [
    "tool:", "llm:", "a", "a", "b", "b", "(", ")", "@", "-", "*", "*", "?",
    "[ab]", "[!a]", "[", "]", "!", "[*]", "[?]", "[(]", "[@a]", "[]a]", "[a-b]", "[b-a]", "[!]",
]  # fmt: skip
LETTERS: Final = "ab()@-[]!*?"

A_GLOB: Final = st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join)
A_CAPABILITY: Final = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["tool:", "llm:", ""]),
        st.text(st.sampled_from(LETTERS), max_size=8),
    ),
)


@st.composite
def glob_and_match(draw: st.DrawFn) -> tuple[str, str]:
    """A glob, and a text that it probably matches."""
    pieces = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=7))
    some = st.text(st.sampled_from(LETTERS), max_size=3)
    text = ""
    for piece in pieces:
        if piece == "*":
            text += draw(some)
        elif piece == "?" or (len(piece) > 1 and piece[0] == "["):
            text += draw(st.sampled_from(LETTERS))
        else:
            text += piece
    return "".join(pieces), text


@st.composite
def wider(draw: st.DrawFn, glob: str) -> str:
    """The glob with some of it left open."""
    start = draw(st.integers(0, len(glob)))
    end = draw(st.integers(start, len(glob)))
    return glob[:start] + draw(st.sampled_from(["*", "*", "?", ""])) + glob[end:]
