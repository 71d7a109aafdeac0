"""The error tree: every way in which LLMAgentOS says no.

::

    LLMOSError
    ├── UsageError        the request itself is wrong
    │   ├── EINVAL        an argument is missing, mistyped or out of range
    │   ├── EPROTO        the message is malformed
    │   ├── ENOSYS        the call is in the table, but this kernel does not serve it yet
    │   ├── ENOENT        no such name: manifest, file, checkpoint, model, driver
    │   └── ESRCH         no such process
    ├── DeniedError       the caller may not do this
    │   ├── EAUTH         the session is missing, unknown or revoked
    │   ├── EPERM         no capability for it
    │   └── ELABEL        the data's labels forbid it
    ├── LimitError        a limit or a quota stands in the way
    │   ├── EQUOTA        a limit of the process or of its tree
    │   ├── ECONTEXT      the context does not fit
    │   ├── EBUDGET       not enough money left
    │   ├── ERATE         too many tokens or calls per minute
    │   ├── EBUSY         a queue is full, or the thing is in use
    │   └── ENOSPC        no room on the disk
    ├── ComputeError      the work could not be done
    │   ├── ENODRIVER     no driver offers what was asked for
    │   ├── EDRIVER       the driver failed in the middle of the work
    │   ├── ETIMEOUT      it took longer than it was allowed to
    │   ├── ECANCELED     somebody cancelled it
    │   ├── EFAILED       a program failed, or an agent each time it was started again
    │   └── EIO           state could not be read or written
    └── UnreachableError
        └── ECONNREFUSED  the system is not up, or went away

An error has a ``code`` (the class's name), one sentence as its ``message``, a ``hint`` that
says what to do next, and a ``detail`` map for programs. ``exit_status`` is what the ``llmos``
command ends with. This module knows nothing about how errors travel (see ``wire``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

MAX_WORDS: Final = 2000
"""Characters of a message, and of a hint."""


class LLMOSError(Exception):
    """The base of the tree. Raise one of the leaves."""

    exit_status: ClassVar[int] = 1

    def __init__(
        self, message: str, *, hint: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail: dict[str, Any] = dict(detail or {})

    @property
    def code(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"

    def to_wire(self) -> dict[str, Any]:
        """``{code, message, hint, detail}``, as it travels in a reply."""
        return {
            "code": self.code,
            "message": _shown(self.message),
            "hint": _shown(self.hint),
            "detail": self.detail,
        }


def _shown(text: str) -> str:
    """Some errors name what they are about, and that may be as long as an argument may be."""
    return text if len(text) <= MAX_WORDS else f"{text[: MAX_WORDS - 1]}…"


class UsageError(LLMOSError):
    exit_status = 2


class DeniedError(LLMOSError):
    exit_status = 4


class LimitError(LLMOSError):
    exit_status = 4


class ComputeError(LLMOSError):
    exit_status = 1


class UnreachableError(LLMOSError):
    exit_status = 3


class EINVAL(UsageError):
    """An argument is missing, mistyped or out of range."""


class EPROTO(UsageError):
    """The message is malformed."""


class ENOSYS(UsageError):
    """The call is in the table, but this kernel does not serve it yet."""


class ENOENT(UsageError):
    """No such name."""


class ESRCH(UsageError):
    """No such process."""


class EAUTH(DeniedError):
    """The session is missing, unknown or revoked."""


class EPERM(DeniedError):
    """The caller has no capability for it."""


class ELABEL(DeniedError):
    """The data's labels forbid it."""


class EQUOTA(LimitError):
    """A limit of the process or of its tree."""


class ECONTEXT(LimitError):
    """The context does not fit."""


class EBUDGET(LimitError):
    """Not enough money left."""


class ERATE(LimitError):
    """Too many tokens or calls per minute."""


class EBUSY(LimitError):
    """A queue is full, or the thing is in use."""


class ENOSPC(LimitError):
    """No room on the disk."""


class ENODRIVER(ComputeError):
    """No driver offers what was asked for."""


class EDRIVER(ComputeError):
    """The driver failed in the middle of the work."""


class ETIMEOUT(ComputeError):
    """It took longer than it was allowed to."""


class ECANCELED(ComputeError):
    """Somebody cancelled it."""


class EFAILED(ComputeError):
    """A program failed, or an agent each time that it was started again."""


class EIO(ComputeError):
    """State could not be read or written."""


class ECONNREFUSED(UnreachableError):
    """The system is not up, or went away."""


_CATEGORIES = (UsageError, DeniedError, LimitError, ComputeError, UnreachableError)
BY_CODE: dict[str, type[LLMOSError]] = {
    leaf.__name__: leaf for category in _CATEGORIES for leaf in category.__subclasses__()
}


def from_wire(body: object) -> LLMOSError:
    """The error that a reply carries; one of an unknown code becomes a plain ``LLMOSError``."""
    if not isinstance(body, Mapping):
        return EPROTO(f"an error came without a body: {body!r}")
    kind = BY_CODE.get(str(body.get("code")), LLMOSError)
    detail = body.get("detail")
    return kind(
        str(body.get("message", "the kernel gave no reason")),
        hint=str(body.get("hint", "")),
        detail=detail if isinstance(detail, Mapping) else None,
    )
