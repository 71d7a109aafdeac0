"""The guide: what holds an answer's calls of tools to their form, as OpenVINO takes it.

A schema that its library can't read would fail a step, and with it all answers that are in it. So
it gets those parts only that it is known to read; what is left out is for the tool to refuse. It
knows nothing about pipelines.
"""

from __future__ import annotations

import json
import re
from functools import reduce
from operator import or_
from typing import Any, Final

from drivers.edge.call_grammar import arguments_schema
from drivers.edge.dialect import Dialect
from drivers.openvino.quiet import local_openvino
from llmagentos.abi.driver import Start
from llmagentos.abi.talk import ToolSpec

_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")
_CLEAR: Final = re.compile(r"[A-Za-z0-9 _.,:;/@$%+*=-]{0,200}")
_LONGEST: Final = 20_000
"""Characters of a schema. Compiling one holds up everybody's step."""


def can_guide(dialect: Dialect) -> bool:
    """Whether calls can be told from text by the mark before them."""
    return bool(dialect.opening) and not dialect.lists


def guide(order: Start, dialect: Dialect, *, begun: bool, call: str = "") -> Any | None:
    """For what is to come of an answer. ``begun``: there is some of it already; ``call``: what of
    that is a call, or may become one. None: there is no need of one, or no way: OpenVINO can begin
    before a tool's arguments, and not in their middle."""
    if not order.tools or order.tool_choice == "none" or not can_guide(dialect):
        return None
    _, genai = local_openvino()
    kinds = genai.StructuredOutputConfig
    required, end = order.tool_choice == "required", f"}}\n{dialect.closing}"
    ways = [(_head(tool.name, dialect), _schema(tool)) for tool in order.tools]
    rests = [(head.removeprefix(call), schema) for head, schema in ways if head.startswith(call)]
    config = kinds()
    if call and rests and (required or call.startswith(dialect.opening)):
        parts = [_row(kinds, head, schema, end) for head, schema in rests]
        config.structural_tags_config = reduce(or_, parts)
    elif call.startswith(dialect.opening):
        return None
    else:
        tags = [kinds.Tag(head, kinds.JSONSchema(schema), end) for head, schema in ways]
        config.structural_tags_config = kinds.TriggeredTags(
            triggers=[dialect.opening],
            tags=tags,
            at_least_one=required and not begun,
            stop_after_first=not dialect.native,
        )
    return config


def _row(kinds: Any, head: str, schema: str, end: str) -> Any:
    rest = kinds.JSONSchema(schema) + kinds.ConstString(end)
    return kinds.ConstString(head) + rest if head else rest


def _head(name: str, dialect: Dialect) -> str:
    """What stands before the arguments in a call of this tool."""
    return f'{dialect.opening}\n{{"name": {json.dumps(name)}, "{dialect.key}": '


def _schema(tool: ToolSpec) -> str:
    return json.dumps(_fitted(arguments_schema(tool)))


def _fitted(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        fitted = {**plain(schema), "type": "object"}
    except RecursionError:
        return {"type": "object"}
    return fitted if len(json.dumps(fitted)) <= _LONGEST else {"type": "object"}


def plain(schema: Any) -> dict[str, Any]:
    """What of a JSON Schema is safe to hand on; {} if nothing is."""
    if not isinstance(schema, dict) or "$ref" in schema:
        return {}
    if (choices := schema.get("enum")) and isinstance(choices, list):
        return {"enum": choices} if all(map(_is_clear, choices)) else {}
    ways = schema.get("anyOf") or schema.get("oneOf")
    if ways and isinstance(ways, list):
        return {"anyOf": [plain(way) for way in ways]}
    said = schema.get("type")
    types = [one for one in (said if isinstance(said, list) else [said]) if one in _TYPES]
    kept: dict[str, Any] = {}
    if types:
        kept["type"] = types[0] if len(types) == 1 else types
    properties = schema.get("properties")
    if "object" in types and isinstance(properties, dict) and all(map(_is_clear, properties)):
        kept["properties"] = {name: plain(one) for name, one in properties.items()}
        required = schema.get("required")
        if isinstance(required, list):
            kept["required"] = [name for name in properties if name in required]
        if schema.get("additionalProperties") is False:
            kept["additionalProperties"] = False
    if "array" in types and "items" in schema:
        kept["items"] = plain(schema["items"])
    return kept


def _is_clear(value: Any) -> bool:
    """Whether it can be said without escapes, in which the library errs."""
    if isinstance(value, str):
        return _CLEAR.fullmatch(value) is not None
    return value is None or isinstance(value, bool | int)
