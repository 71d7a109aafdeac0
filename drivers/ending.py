"""What ends a driver from outside: a signal, or the death of who started it. And how its process
ends then.

It knows nothing about what the driver does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import zmq


def is_orphan(parent: int | None) -> bool:
    """Whether the process that started us is no more our parent. None: that is no matter."""
    return parent is not None and os.getppid() != parent


@contextlib.contextmanager
def on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile ``stop`` is called, with its name, when SIGTERM or SIGINT comes."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only a main thread may take signals; whoever runs us in another ends us otherwise
        return

    def end(number: int, _frame: object) -> None:
        stop(signal.Signals(number).name)

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [(number, signal.signal(number, end)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def leave(status: int) -> NoReturn:
    """End the process, also while a thread loads or computes.

    Nobody can tell such a thread to stop, and the interpreter would stop it as it ends: in the
    middle of a library's code, which aborts the process then.
    """
    if threading.active_count() == 1:
        sys.exit(status)
    zmq.Context.instance().destroy()  # what was said last still leaves, within the linger time
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
