"""A guest: a kernel in a thread of somebody else's process, for tests of agents.

The same kernel on the same sockets, but it dies with the process, and leaves signals to it. It
knows nothing about what is tested.
"""

from __future__ import annotations

import threading

from kernel.assembly import assembled
from kernel.config import Config
from llmagentos.home import Home


class Guest:
    """The kernel of a home that nobody else uses. It ends by ``sys.shutdown``, then ``join``."""

    def __init__(self, home: Home, default_model: str) -> None:
        self._home = home
        self._config = Config(default_model=default_model)
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="llmos-kernel", daemon=True)

    def start(self) -> None:
        """Returns when it listens. Raises what was in its way."""
        self._home.create()
        self._thread.start()
        self._up.wait()
        if self._failed is not None:
            raise self._failed

    def join(self, seconds: float) -> bool:
        """Wait for its end; False if it goes on."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            # All of it here: SQLite's connections belong to the thread that made them.
            server, booted, store = assembled(self._home, self._config)
        except BaseException as error:
            self._failed = error
            self._up.set()
            return
        self._up.set()
        try:
            server.serve(booted, alone=False)
        finally:
            store.close()
