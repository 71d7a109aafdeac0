"""What does a client hear of a kernel that goes, and what does the next kernel hear of it?

The kernel here is a socket that the test closes itself, to have the end at the worst moment.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from llmagentos import aio_connection, monitor
from llmagentos.abi import errors, wire
from llmagentos.aio_connection import AsyncConnection
from llmagentos.aio_stream import AsyncStream
from llmagentos.connection import Connection
from llmagentos.home import Home
from llmagentos.monitor import pending


def _unread(connection: Connection | AsyncConnection) -> None:
    """The end, and all before it, has arrived, and nobody has looked at it."""
    end = time.monotonic() + 30
    while not pending(connection._monitor):
        assert time.monotonic() < end
        time.sleep(0.01)


class _Kernel:
    """Answers what it is asked to, and goes."""

    def __init__(self, home: Home) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.bind(home.syscalls)

    def hear(self) -> tuple[bytes, wire.Message]:
        """The next call."""
        while True:
            assert self._socket.poll(30_000)
            peer, *frames = self._socket.recv_multipart()
            if frames != [b""]:
                return peer, wire.decode(frames)

    def found(self) -> None:
        """Until a client's libzmq has found it by itself."""
        assert self._monitor.poll(30_000)
        time.sleep(0.1)  # for its own side of it

    def overheard(self) -> list[tuple[bytes, str]]:
        """Who has called what, until nobody says anything more."""
        heard = []
        while self._socket.poll(300 if heard else 30_000):
            peer, *frames = self._socket.recv_multipart()
            if frames != [b""]:
                heard.append((peer, wire.decode(frames).name))
        return heard

    def reply(self, peer: bytes, number: int) -> None:
        frames = wire.encode(wire.Message("reply", number, body={"ok": True, "result": {"a": 1}}))
        self._socket.send_multipart([peer, *frames])

    def go(self) -> None:
        """What was sent still leaves."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(30_000)
        self._context.term()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "h")
    made.create()
    return made


def _met(connection: Connection) -> None:
    while not connection.up:
        connection.pump(1)


async def _served(kernel: _Kernel, stream: AsyncStream, name: str) -> None:
    """The next call that the kernel hears is this one; and its reply."""
    peer, call = await asyncio.to_thread(kernel.hear)
    assert call.name == name
    kernel.reply(peer, call.id)
    assert await stream.result(60) == {"a": 1}


def test_is_a_reply_heard_that_came_just_before_the_end(home: Home) -> None:
    kernel = _Kernel(home)
    with closing(Connection(home.syscalls, home)) as connection:
        stream = connection.open("sys.shutdown", {}, "")
        _met(connection)
        peer, call = kernel.hear()
        kernel.reply(peer, call.id)
        kernel.go()
        _unread(connection)
        assert stream.result(60) == {"a": 1}


def test_is_a_reply_heard_on_asyncio_that_came_just_before_the_end(home: Home) -> None:
    async def run() -> None:
        kernel = _Kernel(home)
        connection = AsyncConnection(home.syscalls, home)
        stream = connection.open("sys.shutdown", {}, "")
        peer, call = await asyncio.to_thread(kernel.hear)
        kernel.reply(peer, call.id)
        kernel.go()
        _unread(connection)  # the loop is to be late
        assert await stream.result(60) == {"a": 1}
        await connection.close()

    asyncio.run(run())


@pytest.fixture
def too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end comes just after the client has looked whether there was one."""
    monkeypatch.setattr(monitor, "pending", lambda _: False)


@pytest.mark.usefixtures("too_soon")
def test_does_the_next_kernel_hear_nothing_of_a_call_that_was_given_up(home: Home) -> None:
    kernel = _Kernel(home)
    with closing(Connection(home.syscalls, home)) as connection:
        _met(connection)
        kernel.go()
        _unread(connection)
        # The client has not looked, and takes the kernel to be there.
        given_up = connection.open("given.up", {}, "")
        with pytest.raises(errors.ETIMEOUT):
            given_up.result(0.2)
        kernel = _Kernel(home)
        wanted = connection.open("wanted", {}, "")
        _met(connection)
        peer, call = kernel.hear()
        assert call.name == "wanted"
        kernel.reply(peer, call.id)
        assert wanted.result(60) == {"a": 1}
    kernel.go()


@pytest.mark.usefixtures("too_soon")
def test_does_the_next_kernel_hear_nothing_on_asyncio_of_a_call_that_was_given_up(
    home: Home,
) -> None:
    async def run() -> None:
        kernel = _Kernel(home)
        connection = AsyncConnection(home.syscalls, home)
        await _served(kernel, connection.open("sys.ping", {}, ""), "sys.ping")
        kernel.go()
        _unread(connection)  # the loop is to be late
        given_up = connection.open("given.up", {}, "")
        with pytest.raises(errors.ETIMEOUT):
            await given_up.result(0.2)
        while connection.up:  # noqa: ASYNC110 -- it tells nobody
            await asyncio.sleep(0.01)
        kernel = _Kernel(home)
        await _served(kernel, connection.open("wanted", {}, ""), "wanted")
        await connection.close()
        kernel.go()

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_the_old_socket_gone_before_there_is_another_of_its_name(
    home: Home, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It connects anew by itself. Did it so after the other one, that would never hear again."""
    gone: list[bool] = []
    dialled: list[list[bool]] = []
    shape: Any = Connection if kind == "sync" else AsyncConnection
    outlast, dial = monitor.outlast, shape._dial

    def dials(self: Any, rest: float = 0.0) -> None:
        dialled.append(gone.copy())
        dial(self, rest)

    monkeypatch.setattr(monitor, "outlast", lambda socket: gone.append(outlast(socket)))
    monkeypatch.setattr(shape, "_dial", dials)
    kernel = _Kernel(home)

    async def run() -> None:
        connection = AsyncConnection(home.syscalls, home)
        await _served(kernel, connection.open("sys.ping", {}, ""), "sys.ping")
        kernel.go()
        while len(dialled) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await connection.close()

    if kind == "async":
        asyncio.run(run())
    else:
        with closing(Connection(home.syscalls, home)) as connection:
            _met(connection)
            kernel.go()
            while len(dialled) < 2:
                connection.pump(1)
    assert dialled == [[], [True]]


def test_does_the_next_kernel_hear_a_call_once_of_who_has_not_looked(home: Home) -> None:
    kernel = _Kernel(home)
    with closing(Connection(home.syscalls, home)) as connection:
        _met(connection)
        kernel.go()
        _unread(connection)
        kernel = _Kernel(home)
        kernel.found()
        connection.open("proc.spawn", {}, "")
        connection.pump(0.1)
        _met(connection)
        connection.pump(0.1)
        ((peer, name),) = kernel.overheard()
        assert (peer[:1], name) == (b"c", "proc.spawn")
    kernel.go()


def test_does_the_next_kernel_hear_a_call_once_of_who_has_not_looked_on_asyncio(
    home: Home,
) -> None:
    async def run() -> None:
        kernel = _Kernel(home)
        connection = AsyncConnection(home.syscalls, home)
        await _served(kernel, connection.open("sys.ping", {}, ""), "sys.ping")
        kernel.go()
        _unread(connection)  # the loop is to be late
        kernel = _Kernel(home)
        kernel.found()
        connection.open("proc.spawn", {}, "")
        await asyncio.sleep(0.3)
        ((peer, name),) = await asyncio.to_thread(kernel.overheard)
        assert (peer[:1], name) == (b"c", "proc.spawn")
        await connection.close()
        kernel.go()

    asyncio.run(run())


def test_is_a_kernel_found_by_a_loop_that_is_late(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio_connection, "CONNECT_PATIENCE", 0.2)

    async def run() -> None:
        connection = AsyncConnection(home.syscalls, home)
        stream = connection.open("sys.ping", {}, "")
        await asyncio.sleep(0.02)  # it looks for one
        kernel = _Kernel(home)
        kernel.found()
        time.sleep(0.3)  # noqa: ASYNC251 -- until its patience is at an end
        await _served(kernel, stream, "sys.ping")
        await connection.close()
        kernel.go()

    asyncio.run(run())
