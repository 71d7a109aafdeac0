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


def _patience(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Far less than that of a connection that is lost (30)."""
    for module in ("connection", "aio_connection"):
        monkeypatch.setattr(f"llmagentos.{module}.CONNECT_PATIENCE", seconds)


def _connected(home: Home, kind: str, **options: Any) -> None:
    if kind == "sync":
        connect(options.pop("address", None), home=home.root, **options).close()
        return

    async def main() -> None:
        async with connect_async(options.pop("address", None), home=home.root, **options):
            pass

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_one_refused_quickly_where_nothing_was_ever_up(
    home: Home, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _patience(monkeypatch, 1.0)
    begun = time.monotonic()
    with pytest.raises(errors.ECONNREFUSED) as caught:
        _connected(home, kind)
    _assert_refused(caught.value, home)
    assert time.monotonic() - begun < 25


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_is_one_refused_quickly_where_a_kernel_was_killed(
    kernel: Machines, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _patience(monkeypatch, 1.0)
    kernel.kill_kernel()
    assert (kernel.home.run / "kernel.sock").exists()
    begun = time.monotonic()
    with pytest.raises(errors.ECONNREFUSED) as caught:
        _connected(kernel.home, kind, user=True)
    _assert_refused(caught.value, kernel.home)
    assert time.monotonic() - begun < 25


def test_does_a_call_lose_patience_with_a_kernel_that_stays_away(kernel: Machines) -> None:
    with kernel.program(patience=1.0) as system:
        waiting = system.open("proc.wait", pid=1)
        assert system.call("sys.ping")
        kernel.kill_kernel()
        begun = time.monotonic()
        with pytest.raises(errors.ECONNREFUSED) as caught:
            system.info()
        assert 0.9 < time.monotonic() - begun < 25
        _assert_refused(caught.value, kernel.home)
        with pytest.raises(errors.LLMOSError):
            waiting.result(60)
        with pytest.raises(errors.ECONNREFUSED):
            system.call("sys.ping", within=300)
        kernel.start_kernel()
        assert eventually(lambda: _answers(system))


def _answers(system: System) -> bool:
    try:
        return bool(system.call("sys.ping", within=300))
    except errors.ECONNREFUSED:
        return False


@pytest.mark.parametrize("late", [False, True])
def test_does_the_async_client_lose_patience_too(kernel: Machines, late: bool) -> None:
    """``late``: a call that is made when patience was lost before."""

    async def main() -> None:
        async with connect_async(home=kernel.home.root, patience=0.5) as system:
            kernel.kill_kernel()
            with pytest.raises(errors.ECONNREFUSED) as caught:
                await system.call("sys.ping", within=300)
            _assert_refused(caught.value, kernel.home)
            if late:
                with pytest.raises(errors.ECONNREFUSED):
                    await system.call("sys.ping", within=30)

    asyncio.run(main())


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


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("address", ["ipc:///nowhere/kernel.sock", "tcp://127.0.0.1:1"])
def test_is_an_address_told_at_which_nobody_answers(
    home: Home, kind: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system of this home may be well: it is not the one that was asked for."""
    for module in ("connection", "aio_connection"):
        monkeypatch.setattr(f"llmagentos.{module}.CONNECT_PATIENCE", 0.3)
    with pytest.raises(errors.ECONNREFUSED) as caught:
        _connected(home, kind, address=address)
    assert caught.value.message == f"no system answers at {address}"
    assert "llmos up" not in caught.value.hint


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    "address",
    [
        "kernel",
        5,
        "http://a:1",
        "tcp://a",
        "tcp://a b:1",
        "ipc://",
        "ipc:///" + "é" * 60,
        "\0",
        "ipc://\ud800",
    ],
)
def test_is_what_is_no_address_refused(home: Home, kind: str, address: Any) -> None:
    with pytest.raises(errors.EINVAL, match="is no address of a system") as caught:
        _connected(home, kind, address=address)
    assert "tcp://HOST:PORT" in caught.value.hint
