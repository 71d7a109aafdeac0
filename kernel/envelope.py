"""Envelopes: which call a message makes, with which arguments, and a reply as the frames that go
back.

It knows nothing about who may make a call, nor about what it does.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from kernel.effects import Send
from llmagentos.abi import errors, wire
from llmagentos.abi.model import NAME, NAME_RULE, Model
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.syscalls import TABLE, Syscall
from llmagentos.abi.wire import Message

_TAKES: Final = "docs/syscalls.md says what it takes"

_ODD: Final = 64
"""Arguments that no call has: of more than so many nobody needs to hear each."""

_VALIDATE: Final[dict[str, Callable[[Any], Any]]] = {}


def called(message: Message) -> Syscall:
    """Raises ``EPROTO``, or ``EINVAL`` if there is no such call."""
    if message.kind != "call":
        raise errors.EPROTO(f"a client says no {message.kind!r}", hint="see docs/wire.md")
    spec = TABLE.get(message.name)
    if spec is None:
        near = get_close_matches(message.name[:64], TABLE, 1)
        raise errors.EINVAL(
            f"there is no call {message.name[:64]!r}",
            hint=f"did you mean {near[0]}?" if near else "docs/syscalls.md lists them",
        )
    return spec


def arguments(spec: Syscall, message: Message) -> Any:
    """Of the model that the table names. Raises ``EINVAL``."""
    if len(message.buffers) > spec.buffers:
        raise errors.EINVAL(
            f"{spec.name} takes {_buffers(spec.buffers)}, and this has {len(message.buffers)}",
            hint="docs/syscalls.md says which calls take raw buffers beside the message",
        )
    if len(message.body) > len(spec.args.model_fields) + _ODD:
        odd = next(name for name in message.body if name not in spec.args.model_fields)
        raise errors.EINVAL(f"{spec.name} takes no {odd[:64]!r}", hint=_TAKES)
    validate = _VALIDATE.get(spec.name)
    if validate is None:
        # The model's own validator, without the convenience around it, which costs as much as the
        # validation. It is built when it is first needed.
        spec.args.model_rebuild()
        validate = _VALIDATE[spec.name] = spec.args.__pydantic_validator__.validate_python
    try:
        return validate(message.body)
    except ValidationError as error:
        raise unfit(spec.name, error) from None


def unfit(name: str, error: ValidationError) -> errors.EINVAL:
    """These are no arguments for this call."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    first = problems[0]
    where = ".".join(map(str, first["loc"])) or "arguments"
    detail = {"field": where, "problems": len(problems)}
    if first["type"] == "string_pattern_mismatch" and NAME in first["msg"]:
        return errors.EINVAL(f"{name}: {where}: it is no name", hint=NAME_RULE, detail=detail)
    return errors.EINVAL(
        f"{name}: {where}: {first['msg'].removeprefix('Value error, ')}",
        hint=_TAKES,
        detail=detail,
    )


def _buffers(count: int) -> str:
    return "one buffer" if count == 1 else f"{count or 'no'} buffers"


def ok(result: Model) -> bytes:
    """The body of the reply to a call that succeeded."""
    dumped = result.__pydantic_serializer__.to_python(result, mode="json")
    return wire.pack({"ok": True, "result": dumped})


def failed(error: errors.LLMOSError) -> bytes:
    """The body of the reply to a call that did not."""
    record = ErrorRecord.of(error)
    return wire.pack({"ok": False, "error": record.model_dump(mode="json")})


def too_large(size: int) -> errors.EQUOTA:
    return errors.EQUOTA(
        f"the result takes {size:,} bytes; the most is {wire.MAX_BODY:,}",
        hint="ask for less of it",
    )


def reply(peer: bytes, id: int, name: str, body: bytes, buffers: tuple[bytes, ...] = ()) -> Send:
    return Send(peer, [wire.reply_header(id, name), body, *buffers])
