"""The base of every shape in the contract, and the few field types that many of them share.

Strict: an unknown field, a string where a number belongs, or a NaN is refused. It knows
nothing about which shapes there are.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import chain
from math import isfinite
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SkipValidation,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from llmagentos.abi.values import MAX_VALUES


class Model(BaseModel):
    """A strict, immutable record. Its validator is built when it is first used, since a short
    command uses few of them."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True
    )


_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: object) -> object:
    """``"5m"``, ``"1.5s"`` or ``"1h30m"`` in seconds; anything else is passed on to be judged."""
    if not isinstance(value, str):
        return value
    parts = _DURATION.findall(value.replace(" ", ""))
    if not parts or "".join(n + unit for n, unit in parts) != value.replace(" ", ""):
        raise ValueError("not a duration; write it as 500ms, 30s, 5m, 2h or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


LONGEST: Final = 366 * 86400
"""Seconds: the longest time that there is."""


def _written(bound: str) -> WithJsonSchema:
    """How a length of time may be written; ``bound``: what JSON Schema calls its least."""
    return WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", bound: 0, "maximum": LONGEST},
                {"type": "string", "pattern": r"^(\d+(\.\d+)?\s*(ms|s|m|h|d)\s*)+$"},
            ],
            "description": "seconds, or a text such as 500ms, 30s, 5m, 2h, 1h30m",
        }
    )


Duration = Annotated[
    float, BeforeValidator(seconds), Field(gt=0, le=LONGEST), _written("exclusiveMinimum")
]
"""A length of time in seconds; written as a number or as ``30s``, ``5m``, ``1h30m``."""

Patience = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=LONGEST), _written("minimum")]
"""The same, and 0 is one too."""

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
NAME_RULE: Final = (
    "a name has up to 63 letters, digits, '.', '_' and '-', and starts with a letter or digit"
)
"""The same in words."""

Name = Annotated[str, Field(pattern=NAME)]
"""A name of a process, manifest or driver: letters, digits, ``.``, ``_`` and ``-``."""

ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
"""A model as a manifest names it, e.g. ``smollm2-135m-instruct``."""

MAX_COUNT: Final = 2**53
"""The largest whole number that every language's numbers hold exactly."""

Pid = Annotated[int, Field(ge=1, le=MAX_COUNT)]

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


MAX_NESTING: Final = 24
"""Levels of lists and maps in one value: fewer than a message may have, since a value travels on
inside replies, rows and orders that put levels of their own around it."""


_SCALARS: Final = frozenset({str, bool, type(None)})
_KINDS: Final = _SCALARS | {int, float, list, dict}
_BASES: Final = (str, int, float, list, dict)


def _sound(value: Any) -> Any:
    """What JSON can say, with bounds. Level by level rather than value by value: many values take
    an eighth of the time that way, and the sender chooses the depth, not our stack."""
    if type(value) in _SCALARS:
        return value  # what most values are
    level, count = [value], 0
    for _ in range(MAX_NESTING + 1):
        count += len(level)
        if count > MAX_VALUES:
            raise ValueError(f"it has more than {MAX_VALUES:,} values")
        kinds = set(map(type, level))
        maps = [v for v in level if type(v) is dict]
        names = set(map(type, chain.from_iterable(maps)))
        if not all(issubclass(kind, str) for kind in names):
            raise ValueError("a map has a key that is not a string")
        if not kinds <= _KINDS or not names <= {str}:
            return _sound(_plain(value, kinds - _KINDS))
        if int in kinds:
            whole = [v for v in level if type(v) is int]
            if max(whole) > MAX_COUNT or min(whole) < -MAX_COUNT:
                raise ValueError("a number is larger than 2^53")
        if float in kinds and not all(isfinite(v) for v in level if type(v) is float):
            raise ValueError("a number is not finite")
        level = [
            *chain.from_iterable(v for v in level if type(v) is list),
            *chain.from_iterable(v.values() for v in maps),
        ]
        if not level:
            return value
    raise ValueError(f"it is nested more than {MAX_NESTING} deep")


def _plain(value: Any, odd: set[type]) -> Any:
    """The same without what our own code may have in it: an enum, a counter, a number of numpy's.
    Nothing that came over the wire has any of these. ``odd``: some of the types in it."""
    if all(issubclass(kind, _BASES) for kind in odd):
        with suppress(ValidationError):
            return TypeAdapter(JsonValue).validate_python(value)
    raise ValueError("input was not a valid JSON value")


Json = Annotated[SkipValidation[JsonValue], AfterValidator(_sound)]
"""What JSON can say, and every language can read."""

MAX_TEXT: Final = 1024 * 1024
"""Characters in one message of a context. No model here reads more in one piece."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]
