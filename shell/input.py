"""What a command was given: a text, as an argument or piped in, or a schema in a file. Checked
before it is sent.

It knows nothing about what it is for.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, Final

import click

from llmagentos.abi.errors import EINVAL, EQUOTA

_BYTES_PER_CHARACTER: Final = 4


class Amount(click.FloatRange):
    """A number in a range. click finds NaN in every one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def text_from(argument: str | None) -> str | None:
    """The argument, or stdin for ``-`` and for a pipe; None: there is neither.

    Raises ``EINVAL`` for what is not UTF-8 or is blank, ``EQUOTA`` for what is too long.
    """
    if argument is not None and argument != "-":
        # Not as the locale has it: a word of the command line is UTF-8 by now.
        return _checked(argument.encode("utf-8", "surrogateescape"), "the text")
    if argument is None and nothing_piped_in():
        return None
    return _checked(_piped_in(), "the input")


def nothing_piped_in() -> bool:
    """Whether stdin is a keyboard, or was closed from the start."""
    return sys.stdin is None or sys.stdin.isatty()


def piped_in(most: int) -> bytes:
    """What is piped in, but for what is beyond ``most`` bytes: a pipe may be endless. Raises
    ``EINVAL`` if stdin is closed."""
    if sys.stdin is None:
        raise EINVAL("stdin is closed", hint="pipe something in, or give it as an argument")
    return sys.stdin.buffer.read(most)


def schema_from(path: str) -> dict[str, Any]:
    """The JSON Schema in this file. Raises ``EINVAL``."""
    hint = 'a schema is a file like {"type": "object", "properties": {"name": {"type": "string"}}}'
    try:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise EINVAL(f"{path} can't be read: {error.strerror}", hint=hint) from None
    except (ValueError, RecursionError) as error:
        raise EINVAL(f"{path} is not JSON: {error}", hint=hint) from None
    if not isinstance(schema, dict):
        raise EINVAL(f"{path} is no JSON Schema: it is not an object", hint=hint)
    return schema


def _piped_in() -> bytes:
    # One byte more than the longest text can have: no need to read an endless pipe to its end.
    text = piped_in(_BYTES_PER_CHARACTER * _longest() + 1)
    # As in $(…): the line end that echo and editors put last is not meant for the model.
    return text.rstrip(b"\r\n")


def _longest() -> int:
    # Imported here: this brings pydantic along, which a usage error need not wait for.
    from llmagentos.abi.model import MAX_TEXT

    return MAX_TEXT


def _checked(raw: bytes, what: str) -> str:
    if len(raw) > _BYTES_PER_CHARACTER * _longest():
        raise _too_long(what)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EINVAL(
            f"{what} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}",
            hint="convert it, for example with iconv -t utf-8",
        ) from None
    if len(text) > _longest():
        raise _too_long(what)
    if not text.strip():
        raise EINVAL(f"{what} is empty", hint='give a text: llmos run MANIFEST "TEXT"')
    return text


def _too_long(what: str) -> EQUOTA:
    return EQUOTA(
        f"{what} is larger than 1 MiB (the most is {_longest():,} characters)",
        hint="split it into parts, or give the agent less of it",
    )
