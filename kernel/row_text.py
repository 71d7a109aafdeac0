"""The text of a row of memory: its key, and all words of its value. What is indexed of it, and what
its meaning is made of.

It knows nothing about indexes.
"""

from __future__ import annotations

import json


def row_text(key: str, value: str) -> str:
    """``value`` is JSON; names of fields are words, too."""
    return f"{key}: {_text(value)}"


def _text(value: str) -> str:
    if value.startswith('"'):
        text: str = json.loads(value)
        return text
    found: list[str] = []
    rest = [json.loads(value)]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            rest += [part for item in reversed(one.items()) for part in (item[1], item[0])]
        elif isinstance(one, list):
            rest += reversed(one)
        elif isinstance(one, str | float) or type(one) is int:
            found.append(str(one))
    return " ".join(found)
