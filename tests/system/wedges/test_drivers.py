"""Is a driver that lies, fails or hangs refused or taken for dead, and does it hurt nobody else?"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from llmagentos import System
from llmagentos.abi import errors
from tests.system.machines import Machines, Raw, agent, eventually
from tests.system.peers import DEEP, announce, bugs, head


@pytest.fixture
def other(shared: Machines) -> Iterator[System]:
    """One that nothing else is under way for, not even on the driver that hangs."""
    with shared.program() as system:
        yield system


@pytest.fixture(scope="module", autouse=True)
def hung(shared: Machines, healthy: System) -> Iterator[Any]:
    """A driver that was stopped (SIGSTOP) in the middle of a burst, and the agent that waits. It is
    stopped before all these tests, and looked at after them, however long they take."""
    driver = shared.start(
        "-m", "drivers.scripted", "--name", "hung", "--model", "hung-model",
        "--no-parent", "--delay", "0.05",
    )  # fmt: skip
    shared.await_driver("hung", driver.pid)
    patient = agent("patient", model="hung-model", placement={"patience": 3600})
    started = healthy.spawn(patient, "word " * 100)
    assert next(started.stream()) == "word "
    os.kill(driver.pid, signal.SIGSTOP)
    return driver, started, time.monotonic()


@pytest.fixture
def line(shared: Machines) -> Iterator[Raw]:
    """A socket on the drivers' side."""
    with Raw(shared.home.drivers) as line:
        yield line


@pytest.mark.parametrize("key", ["", "0" * 64, "é"])
def test_is_a_driver_with_a_wrong_key_refused(line: Raw, shared: Machines, key: str) -> None:
    card = {"name": "spy", "kind": "edge", "slots": 4, "state": "ready"}
    line.send(*announce("register", key, **card))
    message = line.hear()
    assert (message.kind, message.body["code"]) == ("refuse", "EAUTH")
    with shared.user() as user:
        assert "spy" not in [d["name"] for d in user.call("drv.list")["drivers"]]


def test_is_the_user_s_key_no_driver_s(line: Raw, shared: Machines) -> None:
    card = {"name": "spy", "kind": "edge", "slots": 4}
    line.send(*announce("register", shared.home.user_key(), **card))
    assert line.hear().body["code"] == "EAUTH"


@pytest.mark.parametrize(
    "frames",
    [[b"x"], [b"\xff" * 40], [b"a", b"b", b"c"], [head(), b"\x80"], [DEEP, DEEP],
     [head(t="report"), msgpack.packb({"steps": [{"burst": "banana"}]})],
     [head(t="register"), msgpack.packb({"name": 5})]],
)  # fmt: skip
def test_is_noise_on_the_drivers_socket_refused(line: Raw, frames: list[bytes]) -> None:
    line.send(*frames)
    message = line.hear()
    assert message.kind in {"refuse", "who"}
    if message.kind == "refuse":
        assert message.body["code"] in {"EPROTO", "EAUTH"}


@pytest.mark.parametrize(
    "card",
    [
        {"name": "../x"}, {"slots": 0}, {"slots": 10**9}, {"kind": "moon"}, {"state": "happy"},
        {"models": [{"name": "m"}]}, {"running": [0]}, {"extra": 1}, {"labels": "private"},
    ],
)  # fmt: skip
def test_is_a_wrong_registration_refused(line: Raw, shared: Machines, card: dict[str, Any]) -> None:
    whole = {"name": "odd", "kind": "edge", "slots": 4} | card
    line.send(*announce("register", shared.home.service_key(), **whole))
    message = line.hear()
    assert (message.kind, message.body["code"]) == ("refuse", "EPROTO")


def test_is_a_second_driver_of_the_same_name_refused(line: Raw, shared: Machines) -> None:
    card = {"name": "fake", "kind": "edge", "slots": 4, "os_pid": os.getpid()}
    line.send(*announce("register", shared.home.service_key(), **card))
    message = line.hear()
    assert (message.kind, message.body["code"]) == ("refuse", "EBUSY")


def test_does_a_driver_lay_hands_on_no_burst_of_another(
    line: Raw, shared: Machines, healthy: System
) -> None:
    card = {"name": "liar", "kind": "edge", "slots": 4, "state": "ready"}
    key = shared.home.service_key()
    line.send(*announce("register", key, **card))
    assert line.hear().kind == "welcome"
    call = healthy.generate_stream("word " * 30, max_tokens=30)
    piece = next(call.pieces())
    for burst in range(piece.burst - 2, piece.burst + 3):
        step = {"burst": burst, "attempt": 1, "index": 1, "tokens": [1], "text": "LIE",
                "finish": "stop"}  # fmt: skip
        line.send(*announce("report", key, steps=[step]))
    assert call.result(60)["text"].split() == ["word"] * 30


@pytest.mark.parametrize("misdeed", ["--garbage", "--die-after"])
def test_does_a_burst_go_on_when_its_driver_fails(
    shared: Machines, other: System, misdeed: str
) -> None:
    """The driver that failed is started again, and goes on from the accepted tokens."""
    name = "bad" + misdeed
    options = [misdeed] if misdeed == "--garbage" else [misdeed, "5"]
    words = [
        "-m", "drivers.scripted", "--name", name, "--model", name, "--no-parent",
        "--delay", "0.01",
    ]  # fmt: skip
    bad = shared.start(*words, *options)
    shared.await_driver(name, bad.pid)
    text = " ".join(f"w{n}" for n in range(20))
    call = other.generate_stream(text, model=name, max_tokens=20)
    assert bad.wait(30) != 0
    with shared.user() as user:

        def noticed() -> bool:
            row = user.call("drv.info", name=name)
            assert "silent" not in row["note"], "that would take 10 seconds"
            return bool(row["state"] == "down")

        eventually(noticed)
        assert user.info(other.pid).process.state == "WAITING"
    shared.start(*words)
    assert call.result(60)["text"] == text


def test_does_a_burst_that_kills_its_drivers_fail_with_edriver(
    shared: Machines, healthy: System
) -> None:
    words = [
        "-m", "drivers.scripted", "--name", "weak", "--model", "weak-model", "--no-parent",
        "--die-after", "1",
    ]  # fmt: skip
    driver = shared.start(*words)
    shared.await_driver("weak", driver.pid)
    call = healthy.generate_stream("a b c d e f g", model="weak-model")
    with shared.user() as user:
        for _ in range(3):
            assert driver.wait(30)
            # Until the kernel knows that it is dead, another of its name is refused.
            eventually(lambda: user.call("drv.info", name="weak")["state"] == "down")
            driver = shared.start(*words)
    with pytest.raises(errors.EDRIVER) as caught:
        call.result(60)
    assert "died under this burst" in caught.value.message
    assert caught.value.hint
    driver.kill()


def test_is_a_driver_that_hangs_taken_for_dead(shared: Machines, hung: Any) -> None:
    driver, started, since = hung
    with shared.user() as user:
        eventually(lambda: user.call("drv.info", name="hung")["state"] == "down")
        assert time.monotonic() - since > 9
        assert "silent" in user.call("drv.info", name="hung")["note"]
        assert started.info().process.exit is None
        os.kill(driver.pid, signal.SIGCONT)
        assert started.wait(60).answer.split() == ["word"] * 100
        assert user.call("drv.info", name="hung")["state"] == "ready"


def test_was_nothing_a_bug_of_the_kernel(shared: Machines) -> None:
    assert not bugs(shared)
    assert "Traceback" not in shared.logged()
