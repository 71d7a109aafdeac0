"""Is the right page found, by people's own words, and more often than by words alone?

The whole of it, 2,000 pages and 100 questions, is ``make search``; here are fewer of both.
"""

from __future__ import annotations

import re

import pytest

from tests.search.library import Library, questions
from tests.search.pages import PAGES, pages

pytestmark = pytest.mark.model


def test_are_the_questions_honest() -> None:
    """A hundred, each of which some page answers, and none has that page's name in it."""
    there, asked = pages(), questions()
    assert (len(there), len(asked), len({one.ask for one in asked})) == (PAGES, 100, 100)
    for one in asked:
        words = set(re.findall(r"\w+", one.ask.lower()))
        assert one.pages
        for page in one.pages:
            assert page in there
            assert page.lower() not in one.ask.lower()
            assert page.rpartition(".")[2].lower() not in words


def test_is_the_right_page_among_the_first_five() -> None:
    library = Library(300, 30)
    library.fill()
    assert library.lacking() == 0
    both, words = library.found("both"), library.found("any word")
    assert len(both) >= 0.8 * len(library.questions)
    assert len(both) > len(words)
    assert library.found("words") <= both
