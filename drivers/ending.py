"""What ends a driver from outside: a signal, or the death of who started it.

It knows nothing about what the driver does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator


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
