"""Does everybody who connects to the kernel rest before the next try, if somebody takes each
connection and drops it?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.host import Host
from drivers.link import Link
from llmagentos.abi import errors
from llmagentos.aio_connection import AsyncConnection
from llmagentos.backoff import LASTED, Backoff
from llmagentos.connection import Connection
from llmagentos.home import Home
from tests.system.droppers import dropping

MOST = 8
"""Connections in that time: with the rests there is time for five."""

SECONDS = 1.2


def _client(home: Home) -> None:
    connection = Connection(home.syscalls, home)
    try:
        with pytest.raises(errors.ETIMEOUT):
            connection.open("sys.ping", {}, "").result(SECONDS)
    finally:
        connection.close()


def _async_client(home: Home) -> None:
    async def main() -> None:
        connection = AsyncConnection(home.syscalls, home)
        with pytest.raises(errors.ETIMEOUT):
            await connection.open("sys.ping", {}, "").result(SECONDS)
        await connection.close()

    asyncio.run(main())


def _driver(home: Home) -> None:
    link = Link.at(home)
    link.wait_connected(0.2)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        link.wait(0.1)
        assert not list(link.receive())
    link.close()


def _host(home: Home) -> None:
    async def main() -> None:
        serving = asyncio.create_task(Host(home, "host", 4).serve(None))
        await asyncio.wait([serving], timeout=SECONDS)
        assert not serving.done()
        serving.cancel()
        await asyncio.wait([serving])

    asyncio.run(main())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.create()
    home.service_key_file.touch(mode=0o600)
    home.service_key_file.write_text("key", encoding="ascii")
    return home


@pytest.mark.parametrize("polite", [False, True], ids=["at once", "after a greeting"])
@pytest.mark.parametrize("who", [_client, _async_client, _driver, _host])
def test_does_it_rest(who: Callable[[Home], None], *, polite: bool, home: Home) -> None:
    drivers = who in (_driver, _host)
    path = Path((home.drivers if drivers else home.syscalls).removeprefix("ipc://"))
    with dropping(path, polite=polite) as dropper:
        who(home)
    assert 2 <= dropper.dropped <= MOST


def test_does_a_rest_grow_until_a_connection_lasts() -> None:
    now = 0.0
    backoff = Backoff(0.5, 3.0, clock=lambda: now)
    assert [backoff.down() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.up()
    now += LASTED - 0.1
    assert backoff.down() == 3.0
    backoff.up()
    now += LASTED
    assert backoff.down() == 0.0
    assert backoff.down() == 0.5
