"""An event loop in a thread of its own, beside the host's.

It knows nothing about what runs in it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from llmagentos.abi.errors import ECANCELED

Result = TypeVar("Result")


class Loop:
    """Runs from when it is made until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._last: list[Callable[[], Awaitable[None]]] = []
        self._thread = threading.Thread(target=self._run, name="cloud", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], object]) -> None:
        """Do this in the loop's thread, soon. Once it is closed, nothing is done any more."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)

    def result(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do this there, and wait for what comes of it; ``ECANCELED`` if it is closed meanwhile."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except concurrent.futures.CancelledError:
            raise ECANCELED("the driver ended") from None

    def at_close(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this when it is closed, after all else."""
        self._last.append(work)

    def close(self) -> None:
        """Cancel all that runs, wait until that has happened, and end."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(self._end(tasks))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    async def _end(self, tasks: set[asyncio.Task[Any]]) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        for work in self._last:
            await work()
