"""Make ``llmagentos/families.pyi``: what each syscall takes and gives, for type checkers.

It knows nothing about what a call does: every word comes from the table of syscalls.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator, JsonValue
from pydantic.fields import FieldInfo

from llmagentos.abi.model import Model, seconds
from llmagentos.abi.syscalls import TABLE, Syscall

_HEAD: Final = """\
# Made by docs/generate.py from llmagentos/abi. Do not edit.
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llmagentos.abi import driver, manifest, process, talk
from llmagentos.abi.calls import cap, ctx, drv, fs, ipc, llm, mem, proc, sys, tool
"""


def stubs() -> str:
    """The text of ``llmagentos/families.pyi``."""
    return "\n".join([_HEAD, *_classes("", "def"), *_classes("Async", "async def")]) + "\n"


def _classes(prefix: str, define: str) -> Iterator[str]:
    families = []
    for family, calls in groupby(TABLE.values(), key=lambda call: call.family):
        families.append(family)
        yield f"class {prefix}{family.capitalize()}:"
        for call in calls:
            yield from _method(call, define)
        yield ""
    yield f"class {prefix}Families:"
    for family in families:
        yield f"    {family}: {prefix}{family.capitalize()}"
    yield ""


def _method(call: Syscall, define: str) -> Iterator[str]:
    yield f"    {define} {call.name.partition('.')[2]}("
    yield "        self,"
    yield "        *,"
    for name, field in call.args.model_fields.items():
        if name != "stream":
            default = "" if field.is_required() else " = ..."
            yield f"        {name}: {_field(field)}{default},"
    if call.buffers:
        yield "        buffers: Sequence[bytes] = ...,"
    yield "        within: float | None = ...,"
    yield f"    ) -> {_shape(call.result)}:"
    yield f'        """{call.doc}"""'
    yield "        ..."
    yield ""


def _field(field: FieldInfo) -> str:
    if field.annotation is float and _is_duration(field.metadata):
        return "float | str"
    return _type(field.annotation)


def _is_duration(metadata: Any) -> bool:
    return any(isinstance(one, BeforeValidator) and one.func is seconds for one in metadata)


def _type(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is JsonValue:
        return "Any"
    if origin is Annotated:
        return "float | str" if _is_duration(inner[1:]) else _type(inner[0])
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_type(one) for one in inner))
    if origin is list:
        return f"Sequence[{_type(inner[0])}]"
    if origin is dict:
        return f"Mapping[{_type(inner[0])}, {_type(inner[1])}]"
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, inner))}]"
    if kind is NoneType:
        return "None"
    if isinstance(kind, type) and issubclass(kind, Model):
        return f"{_shape(kind)} | Mapping[str, Any]"
    return "Any" if kind is Any else str(kind.__name__)


def _shape(shape: type[Model]) -> str:
    return f"{shape.__module__.rpartition('.')[2]}.{shape.__name__}"
