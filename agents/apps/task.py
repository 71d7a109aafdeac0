"""A task: what a program's process was told to do, and how the program ends with its answer.

It knows nothing about what the program does.
"""

from __future__ import annotations

from collections.abc import Callable

from llmagentos import System, connect
from llmagentos.abi import errors
from llmagentos.abi.calls.ctx import ReadResult


def carry_out(work: Callable[[System, str], str]) -> None:
    """Give ``work`` the system and the text, and end the process with its answer, or its error."""
    with connect() as system:
        try:
            answer = work(system, _text(system))
        except errors.LLMOSError as error:
            system.call("proc.exit", code=max(1, error.exit_status), error=error.to_wire())
        else:
            system.call("proc.exit", answer=answer)


def _text(system: System) -> str:
    """Raises ``EINVAL`` if there is none."""
    context = ReadResult.model_validate(system.call("ctx.read")).messages
    text = "\n".join(message.content for message in context if message.role == "user").strip()
    if not text:
        raise errors.EINVAL("it was given no text", hint="spawn it with a text")
    return text
