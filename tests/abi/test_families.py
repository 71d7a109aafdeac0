"""Is every syscall a typed method of both clients?"""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest

from llmagentos import AsyncSystem, System
from llmagentos.abi.syscalls import TABLE, Syscall
from llmagentos.families import NAMES

STUBS = Path(__file__).parents[2] / "llmagentos" / "families.pyi"
CLASSES = {
    node.name: node
    for node in ast.parse(STUBS.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef)
}
CALLS = sorted(TABLE.values(), key=lambda call: call.name)


@pytest.mark.parametrize("prefix", ["", "Async"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_has_the_call_its_arguments_and_its_result(call: Syscall, prefix: str) -> None:
    body = CLASSES[prefix + call.family.capitalize()].body
    methods: dict[str, Any] = {one.name: one for one in body if hasattr(one, "args")}  # type: ignore[attr-defined]
    made = methods[call.name.partition(".")[2]]
    assert isinstance(made, ast.AsyncFunctionDef if prefix else ast.FunctionDef)
    fields = {name: f for name, f in call.args.model_fields.items() if name != "stream"}
    extra = {"within", *(["buffers"] if call.buffers else [])}
    assert {one.arg for one in made.args.kwonlyargs} == fields.keys() | extra
    needed = {
        one.arg
        for one, default in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True)
        if default is None
    }
    assert needed == {name for name, field in fields.items() if field.is_required()}
    assert ast.unparse(made.returns).endswith(f".{call.result.__name__}")


@pytest.mark.parametrize(("client", "base"), [(System, "Families"), (AsyncSystem, "AsyncFamilies")])
def test_has_a_client_each_family(client: Any, base: str) -> None:
    named = {one.target.id for one in CLASSES[base].body if isinstance(one, ast.AnnAssign)}  # type: ignore[union-attr]
    assert named == NAMES == {call.family for call in CALLS}
    system = client(None)
    for call in CALLS:
        family, name = call.name.split(".")
        method = getattr(getattr(system, family), name)
        assert method.__doc__ == call.doc
        assert name in dir(getattr(system, family))
    with pytest.raises(AttributeError):
        _ = system.nothing
    with pytest.raises(AttributeError):
        _ = system.proc.nothing


class _Reply:
    buffers = ()

    def __init__(self, asked: list[Any]) -> None:
        self._asked = asked

    def result(self, within: float | None) -> dict[str, Any]:
        self._asked.append(within)
        return {"created": True, "bytes": 3}


class _AsyncReply(_Reply):
    async def result(self, within: float | None) -> dict[str, Any]:  # type: ignore[override]
        return super().result(within)


class _Wire:
    """A connection that notes what is asked of it."""

    def __init__(self, reply: type[_Reply]) -> None:
        self.asked: list[Any] = []
        self._reply = reply

    def open(self, name: str, args: Any, session: str, buffers: Any) -> _Reply:
        self.asked.append((name, args, session))
        return self._reply(self.asked)


def test_is_a_call_made_as_it_is_written_and_its_result_a_record() -> None:
    wire = _Wire(_Reply)
    system = System(wire, "token")  # type: ignore[arg-type]
    assert system.mem.put(key="a", value=1, ttl="5m", within=2.0).created
    assert wire.asked == [("mem.put", {"key": "a", "value": 1, "ttl": "5m"}, "token"), 2.0]


def test_is_the_same_awaited_in_the_async_client() -> None:
    wire = _Wire(_AsyncReply)
    system = AsyncSystem(wire, "token")  # type: ignore[arg-type]

    async def put() -> int:
        return (await system.mem.put(key="a", value=1)).bytes

    assert asyncio.run(put()) == 3
    assert wire.asked == [("mem.put", {"key": "a", "value": 1}, "token"), None]


@pytest.mark.parametrize("client", [System, AsyncSystem])
def test_is_it_told_what_there_is_and_how_it_is_called(client: Any) -> None:
    """By completion, and by the error of whoever mistypes."""
    system = client(None)
    assert set(dir(system)) >= {"spawn", "generate", *NAMES}
    with pytest.raises(AttributeError, match=r"no syscall mem\.puts; there are .*get, .*put"):
        _ = system.mem.puts
    with pytest.raises(TypeError, match=r"^mem\.put\(\) takes 0 positional arguments"):
        system.mem.put("key", "value")
