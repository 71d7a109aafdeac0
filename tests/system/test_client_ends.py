"""What becomes of a call that is given up, closed, or can't be sent?"""

from __future__ import annotations

import asyncio
import itertools
import threading
from functools import partial
from typing import Any

import pytest
import zmq

from llmagentos import AsyncSystem, connect_async
from llmagentos.abi import errors
from llmagentos.exchange import Exchange
from tests.system.machines import Machines, agent, eventually

pytestmark = pytest.mark.usefixtures("no_session")

SAYS = "one two three four"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_does_a_call_that_took_too_long_stay_ended(shared: Machines, kind: str) -> None:
    if kind == "sync":
        with shared.held_up(), shared.program() as system:
            stream = system.open("proc.wait", pid=system.spawn(agent(), SAYS).pid)
            for use in (lambda: stream.result(0.1), stream.result, lambda: list(stream)):
                with pytest.raises(errors.ETIMEOUT, match=r"within 0\.1 s"):
                    use()
        return

    async def main() -> None:
        async with asyncio.timeout(60), connect_async(home=shared.home.root) as system:
            with shared.held_up():
                started = await system.spawn(agent(), SAYS)
                stream = system.open("proc.wait", pid=started.pid)
                with pytest.raises(errors.ETIMEOUT, match=r"within 0\.1 s"):
                    await stream.result(0.1)
            with pytest.raises(errors.ETIMEOUT, match=r"within 0\.1 s"):
                await stream.result()
            with pytest.raises(errors.ETIMEOUT):
                [text async for text in stream]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_a_closed_connection_refused(shared: Machines, kind: str) -> None:
    if kind == "sync":
        system = shared.program()
        waiting = system.open("proc.wait", pid=system.pid)
        system.close()
        for use in (system.info, waiting.result, lambda: list(system.generate_stream("x"))):
            with pytest.raises(errors.ECONNREFUSED, match="this connection was closed"):
                use()
        return

    async def main() -> None:
        system = await connect_async(home=shared.home.root)
        await system.close()
        with pytest.raises(errors.ECONNREFUSED, match="this connection was closed"):
            await asyncio.wait_for(system.info(), 30)

    asyncio.run(main())


def test_does_a_connection_end_whose_close_is_cancelled(shared: Machines) -> None:
    async def main() -> None:
        system = await connect_async(home=shared.home.root)
        pid = system.pid
        closing = asyncio.ensure_future(system.close())
        await asyncio.sleep(0)  # it is at it
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with shared.user() as user:
            eventually(lambda: pid not in [one.pid for one in user.processes()])

    asyncio.run(main())


LONG = "word " * 2000


@pytest.mark.parametrize("way", ["close", "with", "break", "interrupt", "alarm", "timeout"])
def test_is_an_answer_that_nobody_reads_cancelled(
    shared: Machines, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared.program() as system:
        stream = system.generate_stream(LONG, max_tokens=2000)
        next(stream.pieces())
        if way == "close":
            stream.close()
        elif way == "with":
            with stream:
                pass
        elif way == "break":
            for _ in stream:
                break
        elif way == "timeout":
            with pytest.raises(errors.ETIMEOUT):
                stream.result(0.1)
        else:
            stream.inbox.clear()
            # Whatever a handler of a signal raises.
            kind = KeyboardInterrupt if way == "interrupt" else TimeoutError
            with monkeypatch.context() as patch:
                patch.setattr(system._connection, "pump", partial(_interrupt, kind))
                with pytest.raises(kind):
                    list(stream)
        # Nothing is left to cancel: that is what this call would say.
        assert system.call("llm.cancel") == {"cancelled": 0}
        with pytest.raises((errors.ECANCELED, errors.ETIMEOUT)):
            stream.result()
        assert system.generate(SAYS).text == SAYS


def _interrupt(kind: type[BaseException], _: float) -> None:
    raise kind


@pytest.mark.parametrize("way", ["cancel", "cancel loop", "break", "close", "timeout"])
def test_is_an_answer_that_no_task_reads_cancelled(shared: Machines, way: str) -> None:
    async def read(system: AsyncSystem, *, some: bool = False) -> None:
        async for _ in system.generate_stream(LONG, max_tokens=2000):
            if some:
                break

    async def main() -> None:
        async with asyncio.timeout(60), connect_async(home=shared.home.root) as system:
            if way == "close":
                system.generate_stream(LONG, max_tokens=2000).close()
            elif way == "break":
                await read(system, some=True)
            elif way == "timeout":
                with pytest.raises(errors.ETIMEOUT):
                    await system.generate_stream(LONG, max_tokens=2000).result(0.2)
            else:
                work = read(system) if "loop" in way else system.generate(LONG, max_tokens=2000)
                task = asyncio.create_task(work)
                await asyncio.sleep(0.3)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.sleep(0.1)
            assert await system.call("llm.cancel") == {"cancelled": 0}
            assert (await system.generate(SAYS)).text == SAYS

    asyncio.run(main())


def test_may_a_wait_that_was_cancelled_be_taken_up_again(shared: Machines) -> None:
    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            with shared.held_up():
                started = await system.spawn(agent(), SAYS)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(started.wait(), 0.1)
            assert (await started.wait(60)).code == 0

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_do_programs_of_one_name_become_one_process(shared: Machines, kind: str) -> None:
    pids: list[int | None] = []
    name = f"fresh-{kind}"

    def one() -> None:
        with shared.program(name=name) as system:
            pids.append(system.info().process.pid)

    async def other() -> None:
        async with connect_async(home=shared.home.root, name=name) as system:
            pids.append((await system.info()).process.pid)

    async def main() -> None:
        await asyncio.gather(*(other() for _ in range(12)))

    if kind == "tasks":
        asyncio.run(main())
    else:
        threads = [threading.Thread(target=one) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (len(pids), len(set(pids))) == (12, 1)


def test_is_what_can_not_be_sent_no_raw_exception(shared: Machines) -> None:
    with shared.program() as system:
        for use in (
            lambda: system.info(2**70),
            lambda: system.generate("\udcff"),
            lambda: system.spawn("/dev/zero"),
        ):
            with pytest.raises(errors.EINVAL):
                use()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_does_a_message_that_can_not_be_taken_in_fail_the_calls(
    shared: Machines, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("odd")

    if kind == "sync":
        with shared.program() as system:
            other = system.open("sys.info")
            with monkeypatch.context() as patch:
                patch.setattr(system._connection._exchange, "feed", broken)
                with pytest.raises(errors.EPROTO):
                    system.info()
            with pytest.raises(errors.EPROTO):
                other.result(3)
            assert system.info().process.pid == system.pid
        return

    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            with monkeypatch.context() as patch:
                patch.setattr(system._connection._exchange, "feed", broken)
                with pytest.raises(errors.EPROTO):
                    await asyncio.wait_for(system.info(), 30)
            assert (await system.info()).process.pid == system.pid

    asyncio.run(main())


@pytest.mark.parametrize("where", ["between parts", "before", "after"])
def test_is_nothing_lost_when_ctrl_c_comes_while_messages_are_taken_in(
    shared: Machines, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``where``: between the parts of a message that are read, before or after it is passed on."""
    receive, pass_on = zmq.Socket.recv, Exchange.take_in
    steps = itertools.count(1)

    def torn(socket: zmq.Socket[bytes], flags: int = 0, copy: bool = True) -> Any:
        if where == "between parts" and next(steps) % 5 == 0:
            raise KeyboardInterrupt
        return receive(socket, flags, copy)

    def late(exchange: Exchange, frames: list[bytes]) -> None:
        interrupted = where != "between parts" and next(steps) % 4 == 0
        if interrupted and where == "before":
            raise KeyboardInterrupt
        pass_on(exchange, frames)
        if interrupted:
            raise KeyboardInterrupt

    with shared.program() as system:
        started = system.spawn(agent(), "word " * 40)
        told, heard, interrupts = system.open("proc.wait", pid=started.pid, stream=True), "", 0
        written = system.open("mem.put", key="a", value=1)
        monkeypatch.setattr(zmq.Socket, "recv", torn)
        monkeypatch.setattr(Exchange, "take_in", late)
        while not (told.done and written.done):
            try:
                for piece in told.pieces(5):
                    heard += piece.text
                assert written.result(5)["created"]
            except KeyboardInterrupt:
                interrupts += 1
        monkeypatch.undo()
        assert interrupts > 1
        assert told.result()["answer"] == heard == "word " * 40
