"""How a failure is told: one sentence and a hint on stderr, and an exit code. The one place.

Exit codes: 0 ok, 1 the agent or the work failed, 2 usage, 3 the system is not reachable,
4 denied or over a limit, 130 Ctrl-C. It knows nothing about what was tried.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
import traceback
from typing import Final, TextIO

import click

from llmagentos.abi.errors import EIO, ENOSPC, LLMOSError
from shell.terminal import clip, paint, printable

INTERRUPTED: Final = 130
TERMINATED: Final = 143
BROKEN_PIPE: Final = 141
_NUMBERS: Final = {
    "not a valid integer range": "not a whole number",
    "not a valid float range": "not a number",
}

_COMMANDS: Final = {
    "ctx.read": "llmos ctx read",
    "fs.history": "llmos fs history",
    "fs.list": "llmos fs ls",
    "fs.read": "llmos fs cat",
    "fs.restore": "llmos fs restore",
    "fs.write": "llmos fs write",
    "mem.list": "llmos mem ls",
    "sys.shutdown": "llmos down",
}
"""What one types for the syscalls that the kernel's hints name."""
_SYSCALL: Final = re.compile(
    rf"(?<![\w.:/-])(?:{'|'.join(map(re.escape, _COMMANDS))})(?![\w:/-]|\.\w)"
)
"""Not as a part of a path, a capability or a longer name."""


class Terminated(BaseException):
    """SIGTERM has come: as ``KeyboardInterrupt`` is for SIGINT."""


class ReaderGone(Exception):
    """Whoever read our output has left, as ``head`` does. click would make an exit 1 of it."""


def status_of(error: BaseException) -> int:
    """Tell the user of it; the exit status."""
    if os.environ.get("LLMOS_DEBUG") == "1" and not isinstance(error, click.ClickException):
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, BrokenPipeError | ReaderGone):
        _silence(sys.stdout)
        return BROKEN_PIPE
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        # Its message is the help text, which is no sentence.
        sys.stderr.write(error.format_message().rstrip() + "\n")
        return error.exit_code
    if isinstance(error, click.ClickException):
        where = getattr(error, "ctx", None)
        path = where.command_path if where else "llmos"
        tell(_sentence(error.format_message()), f"{path} --help shows how it is used")
        return error.exit_code
    if isinstance(error, OSError):
        error = _disk(error)
    if isinstance(error, LLMOSError):
        tell(error.message, _SYSCALL.sub(lambda found: _COMMANDS[found[0]], error.hint))
        return error.exit_status
    return _bug(error)


def tell(message: str, hint: str = "") -> None:
    """One sentence, and what to do about it, on stderr, if anybody still reads that."""
    lead = paint("llmos:", "red", sys.stderr)
    lines = [f"{lead} {printable(message)}"]
    if hint:
        lines.append(f"{paint('hint:', 'cyan', sys.stderr)} {printable(hint)}")
    try:
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    except OSError:
        # It is closed, full, or not to be written to: the exit code says it all the same.
        _silence(sys.stderr)


def _sentence(text: str) -> str:
    """click's words in our manner: in one line, no capital, no full stop."""
    text = " ".join(text.split()).removesuffix(".")
    for theirs, ours in _NUMBERS.items():
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:]


def _disk(error: OSError) -> LLMOSError:
    what = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ENOSPC(f"{where}{what}", hint="make room on the disk")
    return EIO(f"{where}{what}", hint="llmos doctor checks the home folder")


def _bug(error: BaseException) -> int:
    what = clip(f"{type(error).__name__}: {error}", 300)
    tell(f"something went wrong, and this is a bug: {what}", _logged(error))
    return 1


def _logged(error: BaseException) -> str:
    from llmagentos.home import Home

    text = "".join(traceback.format_exception(error))
    try:
        log = Home.default().logs / "shell.log"
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What went wrong may be about bytes that are no text: they must not hinder the report.
        with open(log, "a", encoding="utf-8", errors="backslashreplace", opener=_private) as out:
            out.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv)}\n{text}\n")
    except (OSError, LLMOSError):
        return "run it again with LLMOS_DEBUG=1 to see where"
    return f"please report it, with {log}"


def _private(path: str, flags: int) -> int:
    """Command lines may hold what is nobody else's business."""
    return os.open(path, flags, 0o600)


def _silence(stream: TextIO) -> None:
    # The interpreter flushes it when it ends, and would complain again.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)
