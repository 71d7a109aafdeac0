"""The grammar of answers that may call tools: any text, and from where a call begins, that call.

In the language of llguidance, which is Lark's with JSON Schemas and tokens in it. It knows nothing
about matching, nor about which schemas llguidance takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from drivers.edge.dialect import Dialect
from llmagentos.abi.talk import ToolChoice, ToolSpec

MOST: Final = 32
"""Calls that a grammar lets an answer make, of a model whose template tells of tools. One that has
never seen any doesn't know when it is enough: it may make one."""

_ANY: Final[dict[str, Any]] = {"type": "object"}
_BARE: Final = '{"name"'


class Marks(NamedTuple):
    """What tokenizers have one token for. ``special``: of a text, its number, if it is a token that
    no text consists of. ``others``: all such tokens that may come in an answer."""

    special: Mapping[str, int]
    others: Sequence[int]


def arguments_schema(tool: ToolSpec) -> dict[str, Any]:
    """That of a tool's arguments. What it doesn't name may not be given, if it doesn't speak of it:
    a small model would go on and on."""
    schema: dict[str, Any] = {**(tool.parameters or {"type": "object", "properties": {}})}
    if isinstance(schema.get("properties"), dict):
        schema.setdefault("additionalProperties", False)
    return schema


def call_grammar(
    tools: Sequence[ToolSpec],
    choice: ToolChoice,
    dialect: Dialect,
    marks: Marks,
    fit: Callable[[dict[str, Any]], dict[str, Any] | None],
) -> str:
    """``fit``: a schema with what the library needs in it; None, if it doesn't take that. Then any
    object will do for this tool."""
    schemas = [fit(arguments_schema(tool)) or fit(_ANY) or _ANY for tool in tools]
    rules = _calls(tools, schemas, dialect, marks)
    text = _text(dialect, marks)
    opening = [_quoted(dialect.opening, marks)] if dialect.opening else []
    if choice == "required":
        return _joined(["start: " + " ".join([*opening, "calls"]), *rules])
    others = [one for one in marks.others if one != marks.special.get(dialect.opening)]
    words = "(TEXT " + f"<[{','.join(map(str, others))}]>" + ")* TEXT" if others else "TEXT"
    if choice == "none":
        return _joined([f"start: {words}", f"TEXT: {text}"])
    if not dialect.opening:
        return _joined([f"start: {words} | calls", f"TEXT: {text}", *rules])
    if dialect.opening in marks.special:
        begins = [f"begun: {words} {opening[0]}"]
    else:
        before = words.removesuffix("TEXT")
        begins = [f"begun: {before}head", f"head[lazy]: ANY {opening[0]}", "ANY: /(.|\\n)*/"]
    return _joined([f"start: {words} | begun calls", f"TEXT: {text}", *begins, *rules])


def _calls(
    tools: Sequence[ToolSpec], schemas: Sequence[Any], dialect: Dialect, marks: Marks
) -> list[str]:
    """What comes after the first opening mark, to the end."""
    ways = " | ".join(f"tool_{number}" for number in range(len(tools)))
    rules = [
        f"tool_{number}: {_quoted(_head(tool, dialect), marks)} %json {json.dumps(schema)}"
        for number, (tool, schema) in enumerate(zip(tools, schemas, strict=True))
    ]
    most = dialect.most or (MOST if dialect.native else 1)
    rules.append(f'call: "{{\\"name\\": " ({ways}) "}}"')
    if dialect.lists:
        more = _more('", " call', most)
        return [f'calls: " "? "[" call{more} "]"', *rules]
    if not dialect.opening:
        return ["calls: call", *rules]
    opening, closing = _quoted(dialect.opening, marks), _quoted(dialect.closing, marks)
    more = _more(f'"\\n" {opening} marked', most)
    return [
        f"calls: marked{more}",
        f'marked: "\\n" call "\\n" {closing}',
        *rules,
    ]


def _more(rule: str, most: int) -> str:
    return f" ({rule}){{0,{most - 1}}}" if most > 1 else ""


def _head(tool: ToolSpec, dialect: Dialect) -> str:
    return f'{json.dumps(tool.name)}, "{dialect.key}": '


def _text(dialect: Dialect, marks: Marks) -> str:
    """A text in which no call begins."""
    if not dialect.opening:
        return f"/(.|\\n)*/ & ~/{re.escape(_BARE)}(.|\\n)*/"
    if dialect.opening in marks.special:
        return "/(.|\\n)*/"
    return f"/(.|\\n)*/ & ~/(.|\\n)*{re.escape(dialect.opening)}(.|\\n)*/"


def _quoted(text: str, marks: Marks) -> str:
    token = marks.special.get(text)
    return json.dumps(text) if token is None else f"<[{token}]>"


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(["%llguidance {}", *lines, ""])
