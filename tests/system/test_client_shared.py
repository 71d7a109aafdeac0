"""Do programs that share a session, a connection or its process keep out of each other's way?"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from llmagentos import AsyncSystem, connect_async
from llmagentos.abi import errors
from tests.system.machines import Machines, agent, eventually

pytestmark = pytest.mark.usefixtures("no_session")


def test_do_programs_of_one_name_make_calls_of_their_own(
    shared: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if they were started in the same moment: a call whose id was used before would get what
    came of the first one, and take no effect."""
    now = time.time_ns()
    monkeypatch.setattr("llmagentos.exchange.time.time_ns", lambda: now)
    with shared.program(name="twins") as one, shared.program(name="twins") as other:
        assert one.pid == other.pid
        for number in range(10):
            for name, twin in (("one", one), ("other", other)):
                twin.mem.put(key=f"{name}/{number}", value=number)
        assert len(one.mem.list().rows) == 20


def _in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_is_a_connection_refused_that_another_thread_waits_on(shared: Machines) -> None:
    """A socket that two threads use at once is nobody's: its messages would be torn."""
    refused: list[str] = []
    with shared.program() as system:
        started = system.spawn(agent(), "word " * 300)

        def meddle() -> None:
            eventually(lambda: _is_used(system._connection._use))
            for use in (system.info, system.close, started.kill):
                try:
                    use()
                except errors.EINVAL as error:
                    refused.append(error.message)

        thread = threading.Thread(target=meddle)
        thread.start()
        with pytest.raises(errors.ETIMEOUT):
            started.wait(1)
        thread.join(10)
        assert refused == ["this connection is in use by another thread"] * 3
        # One after the other they may.
        _in_a_thread(started.kill)
        assert started.wait(10).signal == "TERM"


def _is_used(lock: threading.RLock) -> bool:  # type: ignore[valid-type]
    free = lock.acquire(blocking=False)
    if free:
        lock.release()
    return not free


def test_is_an_answer_cancelled_that_another_thread_lets_go_of(shared: Machines) -> None:
    with shared.program() as system:
        stream = system.generate_stream("word " * 2000, max_tokens=2000)
        # As when the collector of garbage comes upon a loop that was left.
        text = [iter(stream)]
        next(text[0])
        with system._connection._alone():
            _in_a_thread(lambda: (text.clear(), gc.collect()))
        assert system.call("llm.cancel") == {"cancelled": 0}


def test_is_a_connection_refused_on_another_event_loop(shared: Machines) -> None:
    """Nothing would ever come there."""

    async def begin() -> AsyncSystem:
        return await connect_async(home=shared.home.root)

    async def ask(system: AsyncSystem) -> None:
        async with asyncio.timeout(5):
            await system.info()

    system = asyncio.run(begin())
    with pytest.raises(errors.EINVAL, match="belongs to another event loop"):
        asyncio.run(ask(system))
    # The loop that it was on is no more: all that can be done is to end it.
    asyncio.run(system.close())
    asyncio.run(system.close())
    with pytest.raises(errors.ECONNREFUSED, match="was closed"):
        asyncio.run(ask(system))
    with shared.user() as user:
        eventually(lambda: system.pid not in [one.pid for one in user.processes()])


def test_is_an_async_connection_refused_in_another_thread(shared: Machines) -> None:
    refused: list[str] = []

    def meddle(system: AsyncSystem, call: Any) -> None:
        for use in (system.info, system.close, call.result):
            try:
                asyncio.run(use())
            except errors.EINVAL as error:
                refused.append(error.message)
        try:
            system.open("sys.ping")  # not even in a loop
        except errors.EINVAL as error:
            refused.append(error.message)

    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            call = system.open("ipc.recv")
            await asyncio.to_thread(meddle, system, call)
            assert refused == ["this connection belongs to another event loop"] * 4
            assert (await system.info()).process.pid == system.pid

    asyncio.run(main())
