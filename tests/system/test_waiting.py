"""What does one hear who waits for an agent, beside others and again?"""

from __future__ import annotations

import asyncio

import pytest

from llmagentos import connect_async
from llmagentos.abi import errors, wire
from llmagentos.exchange import Exchange
from tests.system.machines import PATIENCE, Machines, agent

pytestmark = pytest.mark.usefixtures("no_session")

SAYS = "one two three four"
LONG = "word " * 2000


def test_can_one_wait_again_after_a_wait_that_took_too_long(shared: Machines) -> None:
    with shared.program() as system:
        with shared.held_up():
            started = system.spawn(agent(), SAYS)
            with pytest.raises(errors.ETIMEOUT):
                started.wait(0.1)
        assert started.wait(60).answer == SAYS


def test_is_whoever_only_waits_sent_no_pieces(
    shared: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    feed = Exchange.feed

    def listen(self: Exchange, frames: list[bytes]) -> None:
        heard.append(wire.decode(frames).kind)
        feed(self, frames)

    monkeypatch.setattr(Exchange, "feed", listen)
    with shared.program() as system:
        started = system.spawn(agent(), SAYS)
        assert started.wait().answer == SAYS
        assert "stream" not in heard
        # It can be had all the same, and in pieces from whatever has not ended yet.
        assert list(started.stream()) == [SAYS]
        assert list(system.spawn(agent(), "word " * 20).stream())
        assert "stream" in heard


def test_may_one_task_wait_while_another_streams(shared: Machines) -> None:
    async def scenario() -> None:
        async with connect_async(home=shared.home.root, user=True) as system:
            started = await system.spawn(agent(), "word " * 40)
            waiting = asyncio.ensure_future(started.wait())
            await asyncio.sleep(0)  # it waits now
            text = "".join([piece async for piece in started.stream()])
            assert text.split() == ["word"] * 40
            assert (await waiting).answer == text
            assert await started.wait() == await waiting

    asyncio.run(scenario())


def test_does_every_task_that_waits_hear_of_the_end(shared: Machines) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(60), connect_async(home=shared.home.root, user=True) as system:
            with shared.held_up():
                started = await system.spawn(agent(), "word " * 40)
                patient = [asyncio.ensure_future(started.wait()) for _ in range(3)]
                with pytest.raises(errors.ETIMEOUT):
                    await started.wait(0.05)
            records = await asyncio.gather(*patient)
            assert [record.answer for record in records] == ["word " * 40] * 3
            # Whatever call it is that more than one of them waits for.
            stream = system.open("sys.ping")
            told = await asyncio.gather(*(stream.result() for _ in range(3)))
            assert told == [told[0]] * 3

    asyncio.run(scenario())


def test_does_whoever_waits_take_no_piece_from_who_streams(shared: Machines) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(60), connect_async(home=shared.home.root, user=True) as system:
            started = await system.spawn(agent(), "word " * 40)
            stream = started.stream()
            text = await anext(stream)
            waiting = asyncio.ensure_future(started.wait())
            text += "".join([piece async for piece in stream])
            assert (await waiting).answer == text == "word " * 40

    asyncio.run(scenario())


def test_do_waits_that_took_too_long_leave_no_call_open(
    shared: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmagentos.agent._ON_THE_WAY", PATIENCE)
    with shared.program() as system:
        started = system.spawn(agent(), LONG, attach=True)
        for _ in range(20):
            with pytest.raises(errors.ETIMEOUT, match="did not end within"):
                started.wait(0)
        # It would be WAITING for its child for as long as one is.
        assert system.info().process.reason is None
        assert started.info().process.exit is None


def test_can_one_wait_again_after_the_kernel_was_away(
    shared: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shared.program() as system:

        def lost(_: float) -> None:
            system._connection._exchange.fail_all(errors.ECONNREFUSED("it is not up"))

        for read in (list, None):
            started = system.spawn(agent(), SAYS)
            with monkeypatch.context() as patch:
                patch.setattr(system._connection, "pump", lost)
                with pytest.raises(errors.ECONNREFUSED):
                    read(started.stream()) if read else started.wait()
            assert started.wait().answer == SAYS
