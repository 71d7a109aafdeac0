"""What this machine can confine. It knows nothing about tools."""

from __future__ import annotations

import threading
from collections.abc import Callable

from drivers.sandbox import landlock, seccomp
from drivers.sandbox.runs import Outcome
from llmagentos.abi.errors import LLMOSError


def obstacle(trial: Callable[[threading.Event], Outcome]) -> str:
    """Why a command can't be confined here, "" if it can. What can be asked for is asked; then a
    jail is built for ``trial``, as only that shows whether this user, in this container, may."""
    if not seccomp.supported():
        return "the system calls of this processor are not known to the sandbox"
    found = landlock.version()
    if found < landlock.OLDEST:
        return f"the kernel has Landlock {found or 'not at all'}; {landlock.OLDEST} is needed"
    try:
        outcome = trial(threading.Event())
    except LLMOSError as error:
        return error.message
    return "" if outcome.status == 0 else f"a trial failed: {outcome.stderr.text.strip()[:200]}"
