"""What does one hear who waits for an agent, beside others and again?"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from llmagentos import Agent, System, connect, connect_async
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
            # Whoever comes by its pid hears the same.
            again = await system.agent(started.pid)
            assert (again.name, await again.wait()) == (started.name, await waiting)

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
    monkeypatch.setattr("llmagentos.waits._ON_THE_WAY", PATIENCE)
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


ENDLESS: list[tuple[str, dict[str, Any]]] = [
    ("proc.wait", {}),
    ("ipc.recv", {}),
    ("ipc.recv", {"timeout": "5m"}),
    ("ipc.subscribe", {"topic": "news"}),
]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("name", "args"), ENDLESS)
def test_does_the_kernel_keep_no_call_that_was_given_up(
    shared: Machines, kind: str, name: str, args: dict[str, Any]
) -> None:
    family, method = name.split(".")
    if kind == "sync":
        with shared.program() as system:
            if name == "proc.wait":
                args = {"pid": system.spawn(agent(), LONG, attach=True).pid}
            for call in (partial(system.call, name), getattr(getattr(system, family), method)):
                with pytest.raises(errors.ETIMEOUT, match=r"within 0\.05 s"):
                    call(**args, within=0.05)
            # It would be WAITING for its child, or for mail, for as long as it has such a call.
            assert system.info().process.reason is None
            system.ipc.send(pid=system.pid, body="still there")
            assert system.ipc.recv(within=5).mail[0].body == "still there"
        return

    async def scenario() -> None:
        given = args
        async with asyncio.timeout(15), connect_async(home=shared.home.root) as system:
            if name == "proc.wait":
                given = {"pid": (await system.spawn(agent(), LONG, attach=True)).pid}
            for call in (partial(system.call, name), getattr(getattr(system, family), method)):
                with pytest.raises(errors.ETIMEOUT, match=r"within 0\.05 s"):
                    await call(**given, within=0.05)
            assert (await system.info()).process.reason is None
            await system.ipc.send(pid=system.pid, body="still there")
            assert (await system.ipc.recv(within=5)).mail[0].body == "still there"

    asyncio.run(scenario())


def test_is_what_a_call_says_of_its_own_time_left_to_it(shared: Machines) -> None:
    with shared.program() as system:
        assert system.call("ipc.recv", block=False, within=5) == {"mail": [], "left": 0}
        assert system.call("ipc.recv", timeout=0.01, within=5) == {"mail": [], "left": 0}
        with pytest.raises(errors.EINVAL, match="not a duration"):
            system.call("ipc.recv", timeout="soon", within=5)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("timeout", [10**9, 10**400, float("inf"), 366 * 86400])
def test_may_one_wait_for_very_long(shared: Machines, kind: str, timeout: float) -> None:
    if kind == "sync":
        with shared.program() as system:
            assert system.spawn(agent(), SAYS).wait(timeout).answer == SAYS
            assert system.call("sys.ping", within=timeout)
        return

    async def scenario() -> None:
        async with connect_async(home=shared.home.root, patience=timeout) as system:
            assert (await (await system.spawn(agent(), SAYS)).wait(timeout)).answer == SAYS
            assert await system.call("sys.ping", within=timeout)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("timeout", [-1, float("-inf"), float("nan"), "5s", True])
def test_is_what_is_no_time_refused(shared: Machines, kind: str, timeout: Any) -> None:
    refused = partial(pytest.raises, errors.EINVAL, match="a number of seconds, 0 or more")
    if kind == "sync":
        with shared.program() as system:
            # Also of one that has ended, whose record is here.
            for started in (system.spawn(agent(), LONG, attach=True), _ended(system)):
                with refused():
                    started.wait(timeout)
            with refused():
                system.call("sys.ping", within=timeout)
            with refused():
                system.open("sys.ping").result(timeout)
        with refused():
            connect(home=shared.home.root, patience=timeout)
        return

    async def scenario() -> None:
        async with connect_async(home=shared.home.root) as system:
            started = await system.spawn(agent(), LONG, attach=True)
            for use in (
                started.wait(timeout),
                system.call("sys.ping", within=timeout),
                system.open("sys.ping").result(timeout),
                connect_async(home=shared.home.root, patience=timeout),
            ):
                with refused():
                    await use

    asyncio.run(scenario())


def _ended(system: System) -> Agent:
    started = system.spawn(agent(), SAYS)
    started.wait()
    return started
