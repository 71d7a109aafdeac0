"""Arguments: the text that a model wrote for a call, as a map.

Small models wrap JSON in words or fences, quote as Python does, or forget the end. What can be
read in one way only is read; all else is refused in words that a model can act on. It knows nothing
about which arguments a tool takes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from llmagentos.abi.errors import EINVAL

_FENCE: Final = re.compile(r"^\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)
_SHOWN: Final = 100
_LONGEST: Final = 100_000
"""Characters of what is no JSON that are looked into."""


def parse(text: str) -> dict[str, Any]:
    """Raises ``EINVAL``."""
    if not text.strip():
        return {}
    try:
        return _map(json.loads(text))
    except (ValueError, RecursionError) as error:
        problem = str(error)
    for candidate in _candidates(text[:_LONGEST]):
        for read in (json.loads, _python):
            try:
                return _map(read(candidate))
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
    raise EINVAL(
        f"the arguments are no JSON object: {problem}: {text[:_SHOWN]!r}",
        hint='write them as {"name": value}, with double quotes',
    )


def _python(text: str) -> Any:
    """What Python means by it, as far as JSON has that too."""
    return json.loads(json.dumps(ast.literal_eval(text)))


def _map(value: Any) -> dict[str, Any]:
    if isinstance(value, str):  # JSON in JSON
        value = json.loads(value)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError("it is no object")
    return value


def _candidates(text: str) -> Iterator[str]:
    """What may be meant, the likeliest first."""
    fenced = _FENCE.match(text)
    if fenced:
        yield fenced[1]
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0:
        return
    if end > begin:
        yield text[begin : end + 1]
    # It forgot to close what it opened.
    yield text[begin:].rstrip() + "}"
    yield text[begin:].rstrip() + '"}'
