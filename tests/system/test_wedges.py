"""Does whatever a broken or hostile peer does get a typed error, and hurt nobody else?

One kernel takes all of it, and a healthy client beside it must be served all the time.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgpack
import pytest
import zmq

from llmagentos import System
from llmagentos.abi import errors, wire
from tests.system.machines import ROOT, Machines, Raw, agent, eventually, raw_stream

QUICKLY = 2.0


@pytest.fixture(scope="module")
def healthy(shared: Machines) -> Iterator[System]:
    with shared.program() as system:
        yield system


@pytest.fixture
def other(shared: Machines) -> Iterator[System]:
    """One that nothing else is under way for, not even on the driver that hangs."""
    with shared.program() as system:
        yield system


@pytest.fixture(autouse=True)
def _others_are_served(shared: Machines, healthy: System) -> Iterator[None]:
    before = shared.kernel.pid
    yield
    assert shared.kernel.poll() is None, "the kernel died"
    begun = time.monotonic()
    assert healthy.call("sys.ping", within=QUICKLY)
    assert time.monotonic() - begun < 1
    assert healthy.generate("are you there").text == "are you there"
    assert healthy.call("sys.info")["os_pid"] == before


@pytest.fixture
def raw(shared: Machines) -> Iterator[Raw]:
    with shared.raw() as raw:
        yield raw


def _header(**fields: Any) -> bytes:
    return wire.pack({"v": 1, "t": "call", "id": 7, "n": "sys.ping", **fields})


# -- a driver that hangs: it is stopped first, and looked at last ------------------------------


@pytest.fixture(scope="module", autouse=True)
def hung(shared: Machines, healthy: System) -> Iterator[Any]:
    """A driver that was stopped (SIGSTOP) in the middle of a burst, and the call that waits."""
    driver = shared.start(
        "-m", "drivers.scripted", "--name", "hung", "--model", "hung-model",
        "--no-parent", "--delay", "0.05",
    )  # fmt: skip
    shared.await_driver("hung", driver.pid)
    call = healthy.generate_stream("word " * 100, model="hung-model", max_tokens=100)
    pieces = iter(call)
    assert next(pieces) == "word "
    os.kill(driver.pid, signal.SIGSTOP)
    # The iterator is kept: a loop over an answer that is left cancels it.
    return driver, (call, pieces), time.monotonic()


# -- calls -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "code", "says"),
    [
        ("proc.lsit", {}, "EINVAL", "there is no call 'proc.lsit'"),
        ("", {}, "EINVAL", "there is no call ''"),
        ("x" * 3000, {}, "EINVAL", "there is no call"),
        ("mem.put", {}, "EINVAL", "key"),
        ("proc.kill", {}, "EINVAL", "proc.kill: pid: Field required"),
        ("proc.kill", {"pid": "2"}, "EINVAL", "proc.kill: pid: Input should be a valid integer"),
        ("proc.kill", {"pid": True}, "EINVAL", "pid"),
        ("proc.kill", {"pid": 0}, "EINVAL", "pid"),
        ("proc.kill", {"pid": 1, "signal": "HUP"}, "EINVAL", "signal"),
        ("proc.kill", {"pid": 1, "more": 1}, "EINVAL", "more"),
        ("proc.kill", {"pid": 1}, "EPERM", "process 1 takes no signals"),
        ("proc.kill", {"pid": 999_999}, "ESRCH", "no process 999999"),
        ("proc.spawn", {}, "EINVAL", "give either manifest or source"),
        ("proc.spawn", {"manifest": {}}, "EINVAL", "apiVersion"),
        ("proc.spawn", {"manifest": "../../etc/passwd"}, "ENOENT", "no manifest named"),
        ("proc.spawn", {"source": "a: ["}, "EINVAL", "not YAML"),
        ("llm.generate", {"messages": []}, "EINVAL", "messages"),
        ("llm.generate", {"messages": [{"role": "king", "content": "x"}]}, "EINVAL", "role"),
        ("llm.generate", {"messages": [{"role": "user", "content": "x"}], "model": "none"},
         "ENODRIVER", "no driver offers the model none"),
        ("llm.embed", {"texts": ["x"]}, "ENODRIVER", "embeds"),
        ("ctx.rewind", {"message": 2**50}, "ENOENT", "no message"),
        ("drv.info", {"name": "nobody"}, "ENOENT", "no driver nobody"),
        ("sys.events", {"limit": 10**9}, "EINVAL", "limit"),
        ("proc.spawn", {"manifest": "x" * 300}, "EINVAL", "at most 200 characters"),
        ("proc.wait", {"pid": 2**64 - 1}, "ESRCH EINVAL", ""),
        ("proc.info", {"pid": 2**64 - 1}, "ESRCH EINVAL", ""),
        ("sys.events", {"since": 2**64 - 1}, "EINVAL", "since"),
        ("sys.audit", {"since": 2**64 - 1}, "EINVAL", "since"),
    ],
)  # fmt: skip
def test_is_a_wrong_call_told_what_is_wrong(
    shared: Machines, raw: Raw, name: str, args: dict[str, Any], code: str, says: str
) -> None:
    number = raw.say(name, session=shared.home.user_key(), **args)
    id, error = raw.refusal(QUICKLY)
    assert id == number
    assert error.code in code.split()
    assert says in error.message
    assert len(error.message) < 500


@pytest.mark.parametrize("session", ["", "0" * 64, "é" * 32, "x" * 3000])
@pytest.mark.parametrize("name", ["proc.list", "sys.shutdown", "nonsense"])
def test_is_a_stranger_refused(raw: Raw, session: str, name: str) -> None:
    raw.say(name, session=session)
    _, error = raw.refusal(QUICKLY)
    assert error.code == "EAUTH"
    assert error.hint


def test_is_the_service_key_no_session(shared: Machines, raw: Raw) -> None:
    raw.say("proc.list", session=shared.home.service_key())
    assert raw.refusal(QUICKLY)[1].code == "EAUTH"


def test_does_a_process_reach_no_other(shared: Machines, healthy: System) -> None:
    with shared.program() as other:
        for name, more in (("proc.kill", {}), ("ctx.read", {}), ("proc.info", {}),
                           ("proc.limits", {}), ("proc.wait", {})):  # fmt: skip
            with pytest.raises(errors.EPERM):
                other.call(name, pid=healthy.pid, within=QUICKLY, **more)
        with pytest.raises(errors.EPERM):
            other.call("sys.shutdown", within=QUICKLY)
        with pytest.raises(errors.EPERM):
            other.call("proc.adopt", within=QUICKLY)


@pytest.mark.parametrize("name", ["tool.call", "mem.put", "ctx.append", "sys.ping"])
@pytest.mark.parametrize("value", [[1] * 4_000_000, [[]] * 4_000_000, [{"a": 1}] * 40_000])
def test_are_a_million_small_things_refused(
    shared: Machines, raw: Raw, name: str, value: Any
) -> None:
    number = raw.say(name, session=shared.home.user_key(), arguments=value)
    id, error = raw.refusal(QUICKLY)
    assert (id, error.code) == (number, "EPROTO")
    assert "more than 65,536 values" in error.message
    assert error.hint


def test_is_what_is_large_and_not_many_still_taken(healthy: System) -> None:
    texts = [{"role": "user", "content": "x" * 1_000_000}] * 4
    assert len(healthy.call("ctx.append", messages=texts)["ids"]) == 4
    assert healthy.call("ctx.rewind", message=0)["messages"] == 0
    numbers = list(range(60_000))
    healthy.call("mem.put", key="many", value=numbers)
    assert healthy.call("mem.get", key="many")["value"] == numbers


def test_does_an_answer_wait_for_no_driver_that_can_not_come(healthy: System) -> None:
    with pytest.raises(errors.ECONTEXT):
        healthy.call(
            "llm.generate", within=QUICKLY, messages=[{"role": "user", "content": "x"}],
            sampling={"max_tokens": 1_000_000},
        )  # fmt: skip


# -- frames ------------------------------------------------------------------------------------

_DEEP = b"\x81\xa1a" * 1000 + b"\xc0"


@pytest.mark.parametrize(
    ("frames", "id"),
    [
        ([b"x"], 0),
        ([_header()], 0),
        ([b"", b""], 0),
        ([b"", b"", b""], 0),
        ([b"\xc1\xff\x00garbage", b"\x80"], 0),
        ([msgpack.packb([1, 2]), b"\x80"], 0),
        ([msgpack.packb(5), b"\x80"], 0),
        ([_header(v=2), b"\x80"], 7),
        ([_header(q=1), b"\x80"], 7),
        ([_header(t=""), b"\x80"], 7),
        ([_header(t="reply"), b"\x80"], 7),
        ([_header(id=-1), b"\x80"], 0),
        ([_header(id=2**64 - 1), b"\x80"], 0),
        ([_header(n=5), b"\x80"], 7),
        ([_header(), b""], 7),
        ([_header(), b"\xc0"], 7),
        ([_header(), msgpack.packb({1: 2})], 7),
        ([_header(), msgpack.packb({"a": msgpack.ExtType(9, b"x")})], 7),
        ([_header(), _DEEP], 7),
        ([_DEEP, b"\x80"], 0),
        ([_header(), b"\xdf\xff\xff\xff\xff"], 7),
        ([_header(s="x" * 5000), b"\x80"], 0),
        ([_header(), b"\x80", *[b"x"] * 17], 7),
        ([_header(), b"\x80", *[b""] * 20_000], 7),
    ],
)
def test_is_a_malformed_message_told_so(
    shared: Machines, raw: Raw, frames: list[bytes], id: int
) -> None:
    if len(frames) > 1 and id:  # as by somebody who may call
        header = msgpack.unpackb(frames[0])
        if "s" not in header and header.get("t") == "reply":
            frames = [wire.pack({**header, "s": shared.home.user_key()}), *frames[1:]]
    raw.send(*frames)
    got, error = raw.refusal(QUICKLY)
    assert (got, error.code) == (id, "EPROTO")
    assert error.message
    assert raw.call("sys.ping")


def test_does_an_empty_message_say_no_more_than_that_one_is_there(raw: Raw) -> None:
    """It is what ZeroMQ's ZMQ_PROBE_ROUTER sends."""
    for _ in range(3):
        raw.send(b"")
    assert raw.call("sys.ping")


def test_is_a_body_of_100_mb_refused_and_forgotten(shared: Machines, raw: Raw) -> None:
    before = shared.resident()
    raw.send(_header(), bytes(100 * 1024 * 1024))
    id, error = raw.refusal(5)
    assert (id, error.code) == (7, "EPROTO")
    assert "the most is 4194304" in error.message
    assert raw.call("sys.ping")
    eventually(lambda: shared.resident() < before + 50)


def test_is_random_noise_answered_a_thousand_times(raw: Raw) -> None:
    chance = random.Random(5)
    for _ in range(1000):
        raw.send(*[chance.randbytes(chance.randrange(1, 40)) for _ in range(chance.randint(1, 4))])
    for _ in range(1000):
        assert raw.refusal(5)[1].code == "EPROTO"


_OLD = b"\x01\x00" + b"\x03\x00hi"
"""ZMTP 1.0, which libzmq still speaks: no name, then a message of one frame."""


@pytest.mark.parametrize("noise", ["old", "random"])
@pytest.mark.parametrize("door", ["kernel", "drivers"])
def test_does_noise_below_zeromq_hurt_nobody(kernel: Machines, door: str, noise: str) -> None:
    chance = random.Random(7)
    with ExitStack() as lines:
        for n in range(20):
            line = lines.enter_context(raw_stream(kernel.home, door))
            greeting = b"\xff" + bytes(8) + b"\x7f" + bytes([3, n % 3]) + b"NULL" + bytes(48)
            line.sendall(_OLD if noise == "old" else greeting * (n % 2) + chance.randbytes(200))
    time.sleep(0.3)
    with kernel.user() as user:
        assert user.call("sys.ping", within=QUICKLY)


def test_does_noise_on_the_event_socket_hurt_nobody(shared: Machines) -> None:
    for noise in (_OLD, b"\x01\x00" + b"\x01\x00\x01", os.urandom(200)):
        with raw_stream(shared.home, "events") as line:
            line.sendall(noise)


# -- clients that don't behave -----------------------------------------------------------------


def test_is_a_client_that_never_reads_held_to_a_bound(shared: Machines, healthy: System) -> None:
    before = shared.resident()
    ping = wire.encode(wire.Message("call", 1, "sys.ping"))
    with shared.raw() as deaf:
        deaf.socket.setsockopt(zmq.SNDHWM, 1000)
        sent, end = 0, time.monotonic() + 15
        while sent < 50_000 and time.monotonic() < end:
            if not deaf.socket.poll(100, zmq.POLLOUT):
                continue
            deaf.send(*ping)
            sent += 1
            if sent % 5000 == 0:
                begun = time.monotonic()
                assert healthy.call("sys.ping", within=QUICKLY)
                assert time.monotonic() - begun < 1
        assert sent == 50_000
        assert healthy.generate("still here").text == "still here"
        assert shared.resident() < before + 40


def test_is_a_client_that_never_reads_held_to_a_bound_in_bytes(kernel: Machines) -> None:
    """200 MB in answers to one who doesn't listen."""
    with kernel.user() as user:
        text = "x" * 1_000_000
        user.call("ctx.append", messages=[{"role": "user", "content": text}])
        before = kernel.resident()
        with kernel.raw() as deaf:
            deaf.socket.setsockopt(zmq.RCVHWM, 1)
            for _ in range(200):
                deaf.say("ctx.read", session=user.session)
            time.sleep(0.5)
            assert user.call("sys.ping", within=10)
            assert kernel.resident() < before + 100


_CALLER = """
import sys
from llmagentos import connect
system = connect(home=sys.argv[1])
calls = [system.generate_stream("word " * 2000, max_tokens=2000) for _ in range(int(sys.argv[2]))]
first = iter(calls[0])
next(first)
print(system.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def _caller(machines: Machines, calls: int) -> Iterator[subprocess.Popen[str]]:
    """A program that waits for so many answers, and is killed at the end of the block."""
    words = [sys.executable, "-c", _CALLER, str(machines.home.root), str(calls)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert int(program.stdout.readline())
            yield program
        finally:
            program.kill()


def test_is_the_work_of_a_client_that_died_cancelled(shared: Machines) -> None:
    with shared.user() as user:
        with _caller(shared, 1):
            assert user.call("drv.info", name="fake")["running"] == 1
        _assert_idle(user)


def test_are_1000_queued_calls_of_a_dead_client_cancelled_at_once(
    kernel: Machines, scripted: object
) -> None:
    with kernel.user() as user:
        with _caller(kernel, 1000):

            def all_there() -> bool:
                load = user.call("sys.info", within=QUICKLY)
                return bool(load["queued"] + load["running"] == 1000)

            eventually(all_there)
        slowest, end = 0.0, time.monotonic() + 1.5
        while time.monotonic() < end:
            begun = time.monotonic()
            user.call("sys.ping", within=QUICKLY)
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 1
        _assert_idle(user)
        assert user.call("sys.info")["queued"] == 0


def _assert_idle(user: System) -> None:
    """The driver has nothing to do, and does nothing."""
    eventually(lambda: user.call("drv.info", name="fake")["running"] == 0, 4)
    before = _tokens(user, "fake")
    time.sleep(0.3)
    assert _tokens(user, "fake") == before


def _tokens(user: System, name: str) -> tuple[int, int]:
    info = user.call("drv.info", name=name)
    return info["tokens"], info["bursts"]


def test_do_500_connections_come_and_go(shared: Machines, healthy: System) -> None:
    before = shared.resident()
    for _ in range(10):
        raws = [shared.raw() for _ in range(50)]
        for raw in raws:
            raw.say("sys.ping")
        for raw in raws:
            raw.hear(5)
            raw.socket.close()
    files = f"/proc/{shared.kernel.pid}/fd"
    eventually(lambda: len(os.listdir(files)) < 60, 5)  # noqa: PTH208
    assert shared.resident() < before + 20


# -- drivers that don't behave -----------------------------------------------------------------


@pytest.fixture
def line(shared: Machines) -> Iterator[Raw]:
    """A socket on the drivers' side."""
    with Raw(shared.home.drivers) as line:
        yield line


def _announce(kind: str, key: str, /, **body: Any) -> list[bytes]:
    return wire.encode(wire.Message(kind, session=key, body=body))


@pytest.mark.parametrize("key", ["", "0" * 64, "é"])
def test_is_a_driver_with_a_wrong_key_refused(line: Raw, shared: Machines, key: str) -> None:
    card = {"name": "spy", "kind": "edge", "slots": 4, "state": "ready"}
    line.send(*_announce("register", key, **card))
    message = line.hear()
    assert (message.kind, message.body["code"]) == ("refuse", "EAUTH")
    with shared.user() as user:
        assert "spy" not in [d["name"] for d in user.call("drv.list")["drivers"]]


def test_is_the_user_s_key_no_driver_s(line: Raw, shared: Machines) -> None:
    card = {"name": "spy", "kind": "edge", "slots": 4}
    line.send(*_announce("register", shared.home.user_key(), **card))
    assert line.hear().body["code"] == "EAUTH"


@pytest.mark.parametrize(
    "frames",
    [[b"x"], [b"\xff" * 40], [b"a", b"b", b"c"], [_header(), b"\x80"], [_DEEP, _DEEP],
     [_header(t="report"), msgpack.packb({"steps": [{"burst": "banana"}]})],
     [_header(t="register"), msgpack.packb({"name": 5})]],
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
    line.send(*_announce("register", shared.home.service_key(), **whole))
    message = line.hear()
    assert (message.kind, message.body["code"]) == ("refuse", "EPROTO")


def test_is_a_second_driver_of_the_same_name_refused(line: Raw, shared: Machines) -> None:
    card = {"name": "fake", "kind": "edge", "slots": 4, "os_pid": os.getpid()}
    line.send(*_announce("register", shared.home.service_key(), **card))
    message = line.hear()
    assert (message.kind, message.body["code"]) == ("refuse", "EBUSY")


def test_does_a_driver_lay_hands_on_no_burst_of_another(
    line: Raw, shared: Machines, healthy: System
) -> None:
    card = {"name": "liar", "kind": "edge", "slots": 4, "state": "ready"}
    key = shared.home.service_key()
    line.send(*_announce("register", key, **card))
    assert line.hear().kind == "welcome"
    call = healthy.generate_stream("word " * 30, max_tokens=30)
    piece = next(call.pieces())
    for burst in range(piece.burst - 2, piece.burst + 3):
        step = {"burst": burst, "attempt": 1, "index": 1, "tokens": [1], "text": "LIE",
                "finish": "stop"}  # fmt: skip
        line.send(*_announce("report", key, steps=[step]))
    assert call.result(10)["text"].split() == ["word"] * 30


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
    assert bad.wait(10) != 0
    begun = time.monotonic()
    with shared.user() as user:

        def noticed() -> bool:
            state: str = user.call("drv.info", name=name)["state"]
            return state == "down"

        eventually(noticed, QUICKLY)
        assert time.monotonic() - begun < QUICKLY
        assert user.info(other.pid).process.state == "WAITING"
    shared.start(*words)
    assert call.result(10)["text"] == text


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
            assert driver.wait(10)
            # Until the kernel knows that it is dead, another of its name is refused.
            eventually(lambda: user.call("drv.info", name="weak")["state"] == "down")
            driver = shared.start(*words)
    with pytest.raises(errors.EDRIVER) as caught:
        call.result(5)
    assert "died under this burst" in caught.value.message
    assert caught.value.hint
    driver.kill()


# -- poison: one message that kills the kernel, or leaves it with what kills it later ----------


_SOURCE = "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {{name: a}}\nspec: {{{}}}\n"
_POISON: dict[str, tuple[str, dict[str, Any]]] = {
    "bytes in a tool": ("proc.spawn", {"manifest": agent(tools=[{"x": b"\xff"}])}),
    "a timestamp in a tool": (
        "proc.spawn", {"manifest": agent(tools=[{"x": msgpack.Timestamp(2**34, 5)}])}),
    "YAML's own bytes": ("proc.spawn", {"source": _SOURCE.format('tools: [{x: !!binary "//79"}]')}),
    "a number of 60 digits": (
        "proc.spawn", {"source": _SOURCE.format("limits: {tokens: " + "9" * 60 + "}")}),
    "a list 30,000 deep": ("proc.spawn", {"source": "[" * 30_000}),
    "bytes in the error of an exit": (
        "proc.exit", {"error": {"code": "EIO", "message": "x", "detail": {"x": b"\xff"}}}),
}  # fmt: skip


@pytest.mark.parametrize("poison", sorted(_POISON))
def test_is_poison_refused(kernel: Machines, poison: str) -> None:
    name, args = _POISON[poison]
    with kernel.user() as user, kernel.raw() as raw:
        adopted = user.call("proc.adopt", name="poisoner")
        raw.say(name, session=adopted["session"], **args)
        reply = raw.hear(QUICKLY)
        assert reply.kind == "reply"
        assert not reply.body["ok"]
        assert user.call("proc.list", within=QUICKLY)
        assert user.call("sys.ping", within=QUICKLY)
    kernel.kill_kernel()
    kernel.start_kernel()


@pytest.mark.parametrize("field", [{"prompt_tokens": 2**64 - 1}, {"prompt_tokens": -50}])
def test_is_an_impossible_count_of_a_driver_refused(
    kernel: Machines, field: dict[str, Any]
) -> None:
    key = kernel.home.service_key()
    with Raw(kernel.home.drivers) as line, kernel.program() as system:
        card = {"name": "odd", "kind": "edge", "slots": 4, "state": "ready",
                "models": [{"name": "odd-model", "context_length": 100}]}  # fmt: skip
        line.send(*_announce("register", key, **card))
        assert line.hear().kind == "welcome"
        system.open("llm.generate", messages=[{"role": "user", "content": "x"}], model="odd-model")
        order = line.hear().body
        step = {"burst": order["burst"], "attempt": 1, "index": 0, "tokens": [1], "text": "x",
                "finish": "stop"}  # fmt: skip
        line.send(*_announce("report", key, steps=[step | field]))
        assert line.hear().kind == "refuse"
        assert system.info().process.usage.prompt_tokens >= 0


# -- at the end --------------------------------------------------------------------------------


def test_is_a_driver_that_hangs_taken_for_dead(shared: Machines, hung: Any) -> None:
    driver, (call, _), since = hung
    with shared.user() as user:
        eventually(lambda: user.call("drv.info", name="hung")["state"] == "down", 15)
        assert time.monotonic() - since > 9
        assert "silent" in user.call("drv.info", name="hung")["note"]
        assert not call.done
        os.kill(driver.pid, signal.SIGCONT)
        assert call.result(10)["text"].split() == ["word"] * 100
        assert user.call("drv.info", name="hung")["state"] == "ready"


_BUGGY = """
import sys
from kernel import checks
from kernel.__main__ import main
from kernel.syscalls import HANDLERS

def bug(*args):
    raise RuntimeError("a bug")

check = checks.check
checks.check = lambda kernel, caller, spec, args: (
    bug() if spec.name == "drv.list" else check(kernel, caller, spec, args)
)
HANDLERS["sys.info"] = bug
sys.exit(main())
"""


def test_does_a_bug_in_the_kernel_fail_one_call_and_no_other(machines: Machines) -> None:
    kernel = machines.start("-c", _BUGGY)
    with machines.raw() as raw:
        raw.call("sys.ping", seconds=20)
    with machines.user() as user:
        for name in ("sys.info", "drv.list"):
            call = user.open("sys.ping"), user.open(name), user.open("proc.list")
            with pytest.raises(errors.EIO, match=f"{name} failed inside the kernel: RuntimeError"):
                call[1].result(1)
            assert call[0].result(1)
            assert call[2].result(1)["processes"]
        events = user.call("sys.events")["events"]
    bugs = [event["data"] for event in events if event["type"] == "kernel.bug"]
    assert [bug["call"] for bug in bugs] == ["sys.info", "drv.list"]
    assert kernel.poll() is None


def test_was_nothing_a_bug_of_the_kernel(shared: Machines) -> None:
    with shared.user() as user:
        events = user.call("sys.events", limit=10_000)["events"]
    assert not [event["data"] for event in events if event["type"] == "kernel.bug"]
    assert "Traceback" not in shared.logged()
