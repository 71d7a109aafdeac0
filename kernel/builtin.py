"""The built-in tools: syscalls, as a model is told of them and calls them.

Each is one row: a syscall, those of its arguments that are a model's to give, and how its result
reads. Rights, limits and labels are the syscall's own, and need no mention here. It knows nothing
about drivers, nor about how a call is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from pydantic import ValidationError

from kernel import envelope
from kernel.calls import Buffered
from llmagentos.abi.calls.fs import FileInfo
from llmagentos.abi.calls.tool import ListResult
from llmagentos.abi.cards import ToolCard
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.model import Json, Model
from llmagentos.abi.syscalls import TABLE, Syscall

DRIVER: Final = "kernel"
"""Where they are: no driver has this name."""

PAGE: Final = 16 * 1024
"""Bytes of a file that one call gives, unless it asks for more or fewer."""

_NOISE: Final = {
    "labels", "owner", "hash", "usage", "notices", "started", "created", "updated", "bytes",
    "oldest", "latest",
}  # fmt: skip
"""What no model needs to read."""


def _plain(result: Any, args: Any) -> Any:
    """What a model may want to know of it."""
    return _bare(result)


def _bare(value: Any) -> Json:
    """Fields of ours only: a value in memory, or a message, may have some of the same names, and
    is nobody's to cut."""
    if isinstance(value, Model):
        there = value.model_dump(mode="json", exclude_defaults=True)
        return {
            name: _bare(getattr(value, name)) if _has_models(getattr(value, name)) else one
            for name, one in there.items()
            if name not in _NOISE
        }
    return [_bare(one) for one in value]


def _has_models(value: Any) -> bool:
    return isinstance(value, Model) or (
        isinstance(value, list) and any(isinstance(one, Model) for one in value)
    )


def _text(read: Buffered, args: Any) -> Json:
    """A file, or a page of it, and where the next one begins. Raises ``EINVAL`` for no text."""
    (content,) = read.buffers
    assert isinstance(read.result, FileInfo)
    # A page may begin and end within a letter.
    start = next((n for n in range(min(4, len(content))) if content[n] & 0xC0 != 0x80), 0)
    for end in range(len(content), max(start, len(content) - 4), -1):
        try:
            text = content[start:end].decode()
        except UnicodeDecodeError:
            continue
        after = args.offset + end
        left = read.result.size - after
        return text + (f"\n({left:,} bytes more, from offset {after})" if left > 0 else "")
    if not content:
        return ""
    raise EINVAL(f"{read.result.path} is no text", hint="a program can read it, by fs.read")


def _ended(record: Any, args: Any) -> Any:
    """How a child has ended: its answer, or what went wrong."""
    if record.code == 0:
        return record.answer
    return record.model_dump(mode="json", include={"code", "signal", "answer", "error"})


def _cards(found: ListResult, args: Any) -> Json:
    return [
        {"name": one.name, "description": one.description, "parameters": one.parameters}
        for one in found.tools
    ]


@dataclass(frozen=True)
class Builtin:
    """``takes``: the arguments that a model may give; those in ``needs`` it must, beside those
    that the syscall needs. ``given``: what it is if the model gives nothing. ``shapes``: JSON
    Schemas in place of the syscall's. ``show``: how the result reads, given the arguments."""

    call: Syscall
    description: str
    takes: tuple[str, ...]
    given: Mapping[str, Json] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    shapes: Mapping[str, Json] = field(default_factory=dict)
    show: Callable[[Any, Any], Json] = _plain
    parallel: bool = False

    @property
    def name(self) -> str:
        return self.call.name

    @cached_property
    def card(self) -> ToolCard:
        """As a driver would offer it."""
        return ToolCard(
            name=self.name,
            description=self.description,
            parameters=self._parameters(),
            parallel=self.parallel,
        )

    def _parameters(self) -> dict[str, Json]:
        """JSON Schema of what a model may give."""
        schema = self.call.args.model_json_schema()
        fields = {name: _brief(schema["properties"][name]) for name in self.takes}
        required = [name for name in schema.get("required", ()) if name in self.takes]
        return {
            "type": "object",
            "properties": {**fields, **self.shapes},
            "required": [*required, *self.needs],
            "additionalProperties": False,
        }

    def arguments(self, said: Mapping[str, Json]) -> Model:
        """Of the syscall. A number in quotes is one, since small models write them so. Raises
        ``EINVAL``."""
        for name in said:
            if name not in self.takes:
                raise EINVAL(
                    f"{self.name} takes no {name[:64]!r}",
                    hint=f"it takes {', '.join(self.takes) or 'no arguments'}",
                )
        try:
            return self.call.args.model_validate({**self.given, **said}, strict=False)
        except ValidationError as error:
            raise envelope.unfit(self.name, error) from None

    def meant(self, said: Mapping[str, Json]) -> list[dict[str, Json]]:
        """What it takes these arguments for: a path in full, a number for one in quotes. Without
        and with those that were left out; none, if it can't take them."""
        try:
            read = self.arguments(said)
        except EINVAL:
            return []
        every = {name: getattr(read, name) for name in self.takes}
        whole = {name: one for name, one in every.items() if one is not None}
        return [{name: one for name, one in whole.items() if name in said}, whole]


def _brief(schema: Any) -> dict[str, Json]:
    """What a model needs to know of an argument: bounds and defaults are the syscall's affair, and
    each word takes room in the context."""
    told = schema
    while "anyOf" in told:
        told = next(one for one in told["anyOf"] if one.get("type") != "null")
    kept = {name: told[name] for name in ("type", "enum") if name in told}
    if "items" in told:
        kept["items"] = _brief(told["items"])
    if "description" in schema:
        kept["description"] = schema["description"]
    return kept


_ROWS: Final = (
    Builtin(TABLE["fs.read"], "Read a text file.",
            ("path", "offset", "length"), {"length": PAGE}, show=_text, parallel=True),
    Builtin(TABLE["fs.write"], "Write a text file, in place of what was there.",
            ("path", "text"), needs=("text",)),
    Builtin(TABLE["fs.list"], "List the files and folders in a folder.",
            ("path", "recursive", "after"), {"limit": 200}, parallel=True),
    Builtin(TABLE["fs.stat"], "The size and the version of a file.", ("path",), parallel=True),
    Builtin(TABLE["fs.delete"], "Delete a file.", ("path",)),
    Builtin(TABLE["fs.history"], "The versions of a file.",
            ("path",), {"limit": 20}, parallel=True),
    Builtin(TABLE["fs.restore"], "Bring an old version of a file back.", ("path", "version")),
    Builtin(TABLE["mem.put"], "Remember something under a key.", ("key", "value", "space", "ttl")),
    Builtin(TABLE["mem.get"], "What is remembered under a key.", ("key", "space"), parallel=True),
    Builtin(TABLE["mem.search"], "Search what is remembered.",
            ("query", "space", "limit"), {"limit": 5}, parallel=True),
    Builtin(TABLE["mem.list"], "The keys of what is remembered.",
            ("prefix", "space", "after"), parallel=True),
    Builtin(TABLE["mem.delete"], "Forget what is remembered under a key.", ("key", "space")),
    Builtin(TABLE["ipc.send"], "Send a message to another process.", ("pid", "body")),
    Builtin(TABLE["ipc.recv"], "Take the next messages that came; wait for one if none has.",
            ("limit", "timeout"), {"timeout": 60.0}),
    Builtin(TABLE["ipc.publish"], "Publish a message under a topic.", ("topic", "body")),
    Builtin(TABLE["ipc.subscribe"], "Messages of a topic after the number since; wait for one.",
            ("topic", "since", "limit", "timeout"), {"timeout": 60.0}),
    Builtin(TABLE["proc.spawn"], "Start another agent on a task; wait for it with proc.wait.",
            ("manifest", "text"), needs=("manifest", "text"),
            shapes={"manifest": {"type": "string", "description": "the name of a manifest"}}),
    Builtin(TABLE["proc.wait"], "Wait until an agent that you started is done; its answer.",
            ("pid", "timeout"), show=_ended, parallel=True),
    Builtin(TABLE["tool.list"], "What these tools do and take.",
            ("names",), show=_cards, parallel=True),
    Builtin(TABLE["proc.kill"], "End an agent that you started.", ("pid",), {"tree": True}),
)  # fmt: skip

BUILTIN: Final[dict[str, Builtin]] = {row.name: row for row in _ROWS}


def check_names(tools: Iterable[ToolCard]) -> None:
    """Raises ``EINVAL`` if a driver's tool is called as a built-in one: nobody would know which
    of the two a manifest means."""
    for tool in tools:
        if tool.name in BUILTIN:
            raise EINVAL(f"{tool.name} is a built-in tool", hint="call the driver's another name")
