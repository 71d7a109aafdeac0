"""Faults: whatever was raised, as it is told to the kernel or to people.

It knows nothing about what was being done.
"""

from __future__ import annotations

from pydantic import ValidationError

from llmagentos.abi.errors import EDRIVER, LLMOSError
from llmagentos.abi.process import ErrorRecord


def typed(error: BaseException) -> LLMOSError:
    """An ``LLMOSError`` as it is; anything else is the driver's fault, and says so."""
    if isinstance(error, LLMOSError):
        return error
    lines = str(error).splitlines() or [""]
    return EDRIVER(
        f"the driver failed: {type(error).__name__}: {lines[0]}", hint="see the driver's log"
    )


def first_problem(error: ValidationError) -> str:
    """Where, and what."""
    first = error.errors()[0]
    return ": ".join([".".join(map(str, first["loc"])), first["msg"]]).removeprefix(": ")


def record(error: BaseException) -> ErrorRecord:
    return ErrorRecord.of(typed(error))
