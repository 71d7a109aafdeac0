"""Is a call that is wrong, or a message that is none, told what is wrong with it, quickly?"""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from typing import Any

import msgpack
import pytest

from llmagentos import System
from llmagentos.abi import errors, wire
from tests.system.machines import Machines, Raw, eventually, raw_stream
from tests.system.peers import DEEP, QUICKLY, head

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


@pytest.mark.parametrize(
    ("frames", "id"),
    [
        ([b"x"], 0),
        ([head()], 0),
        ([b"", b""], 0),
        ([b"", b"", b""], 0),
        ([b"\xc1\xff\x00garbage", b"\x80"], 0),
        ([msgpack.packb([1, 2]), b"\x80"], 0),
        ([msgpack.packb(5), b"\x80"], 0),
        ([head(v=2), b"\x80"], 7),
        ([head(q=1), b"\x80"], 7),
        ([head(t=""), b"\x80"], 7),
        ([head(t="reply"), b"\x80"], 7),
        ([head(id=-1), b"\x80"], 0),
        ([head(id=2**64 - 1), b"\x80"], 0),
        ([head(n=5), b"\x80"], 7),
        ([head(), b""], 7),
        ([head(), b"\xc0"], 7),
        ([head(), msgpack.packb({1: 2})], 7),
        ([head(), msgpack.packb({"a": msgpack.ExtType(9, b"x")})], 7),
        ([head(), DEEP], 7),
        ([DEEP, b"\x80"], 0),
        ([head(), b"\xdf\xff\xff\xff\xff"], 7),
        ([head(s="x" * 5000), b"\x80"], 0),
        ([head(), b"\x80", *[b"x"] * 17], 7),
        ([head(), b"\x80", *[b""] * 20_000], 7),
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
    raw.send(head(), bytes(100 * 1024 * 1024))
    id, error = raw.refusal()
    assert (id, error.code) == (7, "EPROTO")
    assert "the most is 4194304" in error.message
    assert raw.call("sys.ping")
    eventually(lambda: shared.resident() < before + 50)


def test_is_random_noise_answered_a_thousand_times(raw: Raw) -> None:
    chance = random.Random(5)
    for _ in range(1000):
        raw.send(*[chance.randbytes(chance.randrange(1, 40)) for _ in range(chance.randint(1, 4))])
    for _ in range(1000):
        assert raw.refusal()[1].code == "EPROTO"


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
