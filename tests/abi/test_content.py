"""Is all that JSON can say the content of a result, and nothing else?"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llmagentos.abi.jobs import JobResult
from llmagentos.abi.values import MAX_VALUES
from tests.abi.frames import TEXT, nested


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1] * MAX_VALUES, "more than 65,536 values"),
        ({"a": [float("nan")]}, "not finite"),
        ([2**53 + 1], "larger than 2^53"),
        ([[-(2**53) - 1]], "larger than 2^53"),
        ({"a": [{1: 2}]}, "a key that is not a string"),
        ({"a": (1, 2)}, "not a valid JSON value"),
        (b"x", "not a valid JSON value"),
        (msgpack.unpackb(nested(25)), "nested more than 24 deep"),
    ],
)
def test_is_what_json_can_not_say_no_content(content: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        JobResult(job=1, content=content)


class _Word(StrEnum):
    GOOD = "good"


class _Number(float):
    """As numpy's are."""


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (_Word.GOOD, "good"),
        ({_Word.GOOD: [HTTPStatus.OK]}, {"good": [200]}),
        (Counter("aab"), {"a": 2, "b": 1}),
        ([OrderedDict(a=_Number(1.5))], [{"a": 1.5}]),
    ],
)
def test_is_what_is_a_kind_of_a_json_value_sent_as_one(content: Any, sent: Any) -> None:
    told = JobResult(job=1, content=content).model_dump()["content"]
    assert told == sent
    assert repr(told) == repr(sent), "of the plain type"


@pytest.mark.parametrize("content", [[_Word.GOOD, {1}], OrderedDict(a=(1,)), Counter([1])])
def test_is_what_is_no_json_refused_beside_what_is_a_kind_of_it(content: Any) -> None:
    with pytest.raises(ValidationError, match="not a valid JSON value"):
        JobResult(job=1, content=content)


_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON)
def test_is_all_that_json_can_say_a_content(value: Any) -> None:
    assert JobResult(job=1, content=value).content == value
