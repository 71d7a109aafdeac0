"""What does a client say when nobody is there, or nobody who knows it?"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from llmagentos import System, connect, connect_async
from llmagentos.abi import errors
from llmagentos.home import Home
from tests.system.machines import Machines, eventually

pytestmark = pytest.mark.usefixtures("no_session")


def _assert_refused(error: errors.ECONNREFUSED, home: Home) -> None:
    assert error.message == f"the system in {home.root} is not up"
    assert error.hint == "start it: llmos up --detach"
    assert error.exit_status == 3


def _connected(home: Home, kind: str, **options: Any) -> None:
    if kind == "sync":
        connect(home=home.root, **options).close()
        return

    async def main() -> None:
        async with connect_async(home=home.root, **options):
            pass

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_one_refused_quickly_where_nothing_was_ever_up(
    home: Home, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmagentos.aio_connection.CONNECT_PATIENCE", 1.0)
    begun = time.monotonic()
    with pytest.raises(errors.ECONNREFUSED) as caught:
        _connected(home, kind)
    _assert_refused(caught.value, home)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_one_refused_quickly_where_a_kernel_was_killed(
    kernel: Machines, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmagentos.aio_connection.CONNECT_PATIENCE", 1.0)
    kernel.kill_kernel()
    assert (kernel.home.run / "kernel.sock").exists()
    begun = time.monotonic()
    with pytest.raises(errors.ECONNREFUSED) as caught:
        _connected(kernel.home, kind, user=True)
    _assert_refused(caught.value, kernel.home)
    assert time.monotonic() - begun < 5


def test_does_a_call_lose_patience_with_a_kernel_that_stays_away(kernel: Machines) -> None:
    with kernel.program(patience=1.0) as system:
        waiting = system.open("proc.wait", pid=1)
        assert system.call("sys.ping")
        kernel.kill_kernel()
        begun = time.monotonic()
        with pytest.raises(errors.ECONNREFUSED) as caught:
            system.info()
        assert 0.9 < time.monotonic() - begun < 4
        _assert_refused(caught.value, kernel.home)
        with pytest.raises(errors.LLMOSError):
            waiting.result(5)
        with pytest.raises(errors.ECONNREFUSED):
            system.call("sys.ping", within=5)
        kernel.start_kernel()
        assert eventually(lambda: _answers(system), 5)


def _answers(system: System) -> bool:
    try:
        return bool(system.call("sys.ping", within=2))
    except errors.ECONNREFUSED:
        return False


@pytest.mark.parametrize("late", [False, True])
def test_does_the_async_client_lose_patience_too(kernel: Machines, late: bool) -> None:
    """``late``: a call that is made when patience was lost before."""

    async def main() -> None:
        async with connect_async(home=kernel.home.root, patience=0.5) as system:
            kernel.kill_kernel()
            with pytest.raises(errors.ECONNREFUSED) as caught:
                await system.call("sys.ping", within=5)
            _assert_refused(caught.value, kernel.home)
            if late:
                with pytest.raises(errors.ECONNREFUSED):
                    await system.call("sys.ping", within=3)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("address", ["nonsense", "foo://bar", "tcp://", "tcp://127.0.0.1", "\0"])
def test_is_what_is_no_address_refused(home: Home, kind: str, address: str) -> None:
    with pytest.raises(errors.EINVAL, match="is no address of a system") as caught:
        _connected(home, kind, address=address)
    assert "tcp://HOST:PORT" in caught.value.hint


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_may_one_close_twice(shared: Machines, kind: str) -> None:
    if kind == "sync":
        with shared.program() as system:
            system.close()
        return

    async def main() -> None:
        async with connect_async(home=shared.home.root) as system:
            await system.close()

    asyncio.run(main())


def test_is_a_wrong_key_refused_and_left_at_that(shared: Machines) -> None:
    with pytest.raises(errors.EAUTH):
        connect(home=shared.home.root, key="0" * 64)
    with pytest.raises(errors.EAUTH), connect(home=shared.home.root, session="nonsense") as system:
        system.info()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_a_name_that_is_a_path_refused(shared: Machines, kind: str) -> None:
    for name in ("../x", "n" * 64, ""):
        with pytest.raises(errors.EINVAL, match="can't be a program's name"):
            _connected(shared.home, kind, name=name)
    assert not (shared.home.root / "x").exists()
