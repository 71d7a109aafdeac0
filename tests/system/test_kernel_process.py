"""Is the kernel a good process: quick to start, small, private, single, and orderly in its end?"""

from __future__ import annotations

import signal
import sqlite3
import stat
import time

import msgpack
import zmq

from kernel.door import Door
from llmagentos.abi import wire
from llmagentos.abi.audit import first_break
from llmagentos.abi.calls.sys import AuditEntry
from llmagentos.home import Home
from tests.system.machines import Machines, Raw, agent, eventually

HEAVY = {
    "torch", "transformers", "textual", "asyncio", "aiohttp", "requests", "httpx", "numpy",
}  # fmt: skip


def test_does_it_answer_soon_and_stay_small_with_200_agents(machines: Machines) -> None:
    seconds = machines.start_kernel()
    print(f"the first ping was answered after {seconds:.2f} s")
    with machines.user() as user:
        opened = [user.open("proc.spawn", manifest=agent(f"a{n}")) for n in range(200)]
        assert len({call.result(60)["pid"] for call in opened}) == 200
        resident = machines.resident()
        print(f"{resident:.1f} MB with 200 agents")
        assert resident < 80


def test_does_it_load_no_heavy_modules(machines: Machines) -> None:
    """Not for its help, and not for its work."""
    for words in (["--help"], []):
        machines.kernel = machines.start("-X", "importtime", "-m", "kernel", *words)
        if not words:
            with machines.raw() as raw:
                assert raw.call("sys.ping", seconds=60)
            machines.kernel.terminate()
        assert machines.kernel.wait(60) == 0
    lines = machines.logged().splitlines()
    names = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
    loaded = {name.partition(".")[0] for name in names}
    assert {"zmq", "msgpack", "sqlite3", "pydantic"} <= loaded
    assert not loaded & HEAVY


def test_does_a_second_kernel_on_the_same_home_end_with_3(kernel: Machines) -> None:
    second = kernel.start("-m", "kernel")
    assert second.wait(60) == 3
    assert f"another kernel serves {kernel.home.root}" in kernel.logged()
    with kernel.user() as user:
        assert user.call("sys.info")["os_pid"] == kernel.kernel.pid


def test_does_sigterm_end_it_with_0_while_work_is_pending(
    kernel: Machines, scripted: object
) -> None:
    with kernel.user() as user:
        calls = [user.generate_stream("word " * 2000, max_tokens=2000) for _ in range(6)]
        pieces = iter(calls[0])
        assert next(pieces) == "word "
        kernel.kernel.send_signal(signal.SIGTERM)
        assert kernel.kernel.wait(60) == 0
        user._connection.pump(0.5)
        assert not any(call.done for call in calls), "it did not wait for them"


def test_does_shutdown_end_it_with_0_and_reply_first(kernel: Machines) -> None:
    with kernel.user() as user:
        assert user.call("sys.shutdown", reason="test", within=60) == {}
    assert kernel.kernel.wait(60) == 0
    kernel.start_kernel()
    with kernel.user() as user:
        assert "sys.shutdown" in [e["type"] for e in user.call("sys.events")["events"]]
        assert user.call("sys.info")["boot"] == 2


def test_are_keys_and_sockets_for_this_user_only(kernel: Machines) -> None:
    home = kernel.home
    for key in (home.user_key_file, home.service_key_file):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert len(key.read_text("ascii").strip()) == 64
    assert home.user_key() != home.service_key()
    for folder in (home.run, home.sessions, home.root):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_is_the_state_whole_after_a_kill_under_load(kernel: Machines, scripted: object) -> None:
    with kernel.user() as user:
        done = []
        for round_ in range(3):
            opened = [user.open("proc.spawn", manifest=agent(), text="hello") for _ in range(60)]
            talking = [user.generate_stream("a b c " * 20, append=True) for _ in range(4)]
            for call in opened[: 20 * (round_ + 1)]:
                done.append(call.result(60)["pid"])
            kernel.kill_kernel()
            del talking
            with sqlite3.connect(kernel.home.database) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                kept = {row[0] for row in db.execute("SELECT pid FROM processes")}
            db.close()
            assert set(done) <= kept
            kernel.start_kernel()
        entries = user.call("sys.audit", limit=10_000)["entries"]
        assert first_break([AuditEntry.model_validate(entry) for entry in entries]) is None
        with kernel.user() as other:
            assert set(done) <= {p.pid for p in other.processes()}


def test_has_the_event_stream_no_gaps_and_agrees_with_what_is_kept(
    kernel: Machines, scripted: object
) -> None:
    socket = zmq.Context.instance().socket(zmq.SUB)
    try:
        socket.subscribe(b"")
        socket.connect(kernel.home.events)
        with kernel.user() as user:

            def heard_anything() -> int:
                user.spawn(agent("first"))
                return socket.poll(50)

            eventually(heard_anything)
            for n in range(50):
                user.spawn(agent(f"a{n}"))
            user.generate("a b c d e")
            kept = user.call("sys.events", limit=10_000)
        heard = []
        while not heard or heard[-1]["seq"] < kept["latest"]:
            assert socket.poll(30_000)
            topic, body = socket.recv_multipart()
            heard.append(msgpack.unpackb(body))
            assert topic.decode() == heard[-1]["type"]
        assert [event["seq"] for event in heard] == list(
            range(heard[0]["seq"], heard[0]["seq"] + len(heard))
        )
        assert len(heard) > 50
        by_seq = {event["seq"]: event for event in kept["events"]}
        for event in heard:
            if event["seq"] <= kept["latest"]:
                assert by_seq[event["seq"]] == event
        types = {event["type"] for event in heard}
        assert {"proc.spawned", "burst.queued", "burst.started", "burst.done"} <= types
        assert "a b c d e" not in str(heard)
    finally:
        socket.close(0)


def test_is_the_end_of_a_connection_never_taken_for_a_newer_one_s(home: Home) -> None:
    """The operating system gives a descriptor that was closed to the next connection, whose
    first message may be there before the word of the old one's end is read."""
    home.create()
    door = Door(home.syscalls)
    try:
        with _message(home):
            old = _receive(door)
        assert door.monitor.poll(30_000), "its end has come"
        with _message(home):
            new = _receive(door)
            time.sleep(0.1)
            door.watch(0.0)
            gone = door.gone(1.0)
        assert old in gone
        assert new not in gone
    finally:
        door.close()


def _message(home: Home) -> Raw:
    raw = Raw(home.syscalls)
    raw.send(*wire.encode(wire.Message("call", 1, "sys.ping")))
    return raw


def _receive(door: Door) -> bytes:
    assert door.socket.poll(30_000)
    received = door.receive(0.0)
    assert received is not None
    return received[0]
