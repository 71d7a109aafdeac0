"""Who comes in from other machines, as what, for how long, and what happens when he is away?"""

from __future__ import annotations

import contextlib
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from llmagentos import System, keys
from llmagentos.abi import wire
from llmagentos.home import Home
from llmagentos.keys import read_node_file
from shell.ping import answers
from tests.system.machines import Machines, Raw, eventually
from tests.system.nodes import RawNode, free_port, make_key, new_node

WORDS = [f"w{n} " for n in range(60)]
ADDRESS = f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A kernel that listens for nodes, and nothing else."""
    machines = Machines(Home(tmp_path_factory.mktemp("nodes") / "h"))
    try:
        machines.start_kernel("--listen", ADDRESS)
        yield machines
    finally:
        machines.close()
        print(machines.logged()[-8000:])


def revoke(machines: Machines, name: str) -> None:
    """As the command does it."""
    keys.revoke(machines.home, name)
    assert answers(machines.home, 30)


def driver(user: System, name: str) -> dict[str, Any]:
    rows = user.call("drv.list")["drivers"]
    return next((row for row in rows if row["name"] == name), {"state": "unknown"})


def down_at(user: System, name: str) -> float:
    """When it was lost, as the kernel has it; 0.0: it was not."""
    events = user.call("sys.events", limit=10_000)["events"]
    ends = [e["time"] for e in events if e["type"] == "drv.down" and e["data"]["name"] == name]
    return float(max(ends, default=0.0))


class Reader:
    """Hears a stream in a thread."""

    def __init__(self, user: System, pieces: int) -> None:
        self.stream = user.generate_stream("".join(WORDS), max_tokens=len(WORDS))
        self.heard: list[str] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        eventually(lambda: len(self.heard) >= pieces)

    def _listen(self) -> None:
        self.heard.extend(piece.text for piece in self.stream.pieces())

    def check(self) -> None:
        """It is all there, and nothing of it twice."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        result = self.stream.result()
        assert "".join(self.heard) == result["text"] == "".join(WORDS)
        assert result["usage"]["completion_tokens"] == len(WORDS)


def test_does_an_unknown_key_get_nothing(system: Machines) -> None:
    with RawNode(ADDRESS, new_node(system.home, "stranger")) as stranger:
        stranger.say("register", {"name": "stranger", "kind": "node", "slots": 1})
        assert not stranger.watch(zmq.EVENT_HANDSHAKE_SUCCEEDED, 1.5)
        # Not even a word that it was refused.
        assert zmq.EVENT_HANDSHAKE_FAILED_AUTH not in stranger.events
        assert not stranger.socket.poll(0)
        ended = zmq.EVENT_DISCONNECTED in stranger.events
        assert ended or stranger.watch(zmq.EVENT_DISCONNECTED, 30)
    with system.user() as user:
        assert driver(user, "stranger")["state"] == "unknown"


def test_does_a_stranger_without_any_key_get_nothing(system: Machines) -> None:
    """Below ZeroMQ: the greeting that every socket sends, and then the end."""
    host, _, port = ADDRESS.removeprefix("tcp://").partition(":")
    with socket.create_connection((host, int(port)), 30) as line:
        line.settimeout(30)
        line.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16 + 1 + 31))
        line.sendall(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER")
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := line.recv(4096):
                said += piece
        assert len(said) <= 64
        assert b"READY" not in said
    assert stat.S_IMODE(system.home.server_key_file.stat().st_mode) == 0o600


def test_does_a_new_key_count_at_once_and_only_for_what_it_grants(
    system: Machines, tmp_path: Path
) -> None:
    """The kernel has been running all the time."""
    file = make_key(system.home, "claimer", tmp_path, zone="office", labels=["internal"])
    key = read_node_file(file)
    with RawNode(ADDRESS, key) as node, system.user() as user:
        for claim in ({"kind": "edge"}, {"kind": "tool"}, {"kind": "host"}, {"name": "other"}):
            refused = node.register(**claim)
            assert (refused.kind, refused.body["code"]) == ("refuse", "EPERM"), claim
            assert refused.body["hint"]
        tool = {"name": "shell", "description": "", "arguments": {}}
        assert node.register(tools=[tool]).kind == "refuse"
        assert driver(user, "claimer")["state"] == "unknown"
        claimed = {"zone": "device", "labels": ["private", "internal"]}
        assert node.register(**claimed).kind == "welcome"
        row = driver(user, "claimer")
        assert (row["kind"], row["zone"], row["labels"]) == ("node", "office", ["internal"])
        # Syscalls are not there, whatever session they bring.
        node.say("call", {})
        assert node.hear().kind == "refuse"
        with Raw(system.home.drivers) as local:
            local.send(*_registration("claimer"))
            assert local.hear().body["code"] == "EAUTH", "a key is no service key"
        with RawNode(ADDRESS, key) as twin:
            assert node.register().kind == "welcome"
            assert twin.register(os_pid=2).body["code"] == "EBUSY"


def _registration(name: str) -> list[bytes]:
    return wire.encode(wire.Message("register", body={"name": name, "kind": "node", "slots": 1}))


def test_is_a_node_never_taken_for_another_with_the_same_routing_id(
    system: Machines, tmp_path: Path
) -> None:
    one, two = (read_node_file(make_key(system.home, name, tmp_path)) for name in ("one", "two"))
    with RawNode(ADDRESS, one, b"same") as first, system.user() as user:
        assert first.register().kind == "welcome"
        with RawNode(ADDRESS, two, b"same") as second:
            second.say("beat", {"state": "failed"})
            assert second.hear().kind == "who"
            eventually(lambda: driver(user, "one")["state"] == "down")
            assert second.register().kind == "welcome"
            assert driver(user, "two")["state"] == "ready"


def test_is_a_revoked_node_cut_off_at_once_and_for_good(system: Machines, tmp_path: Path) -> None:
    with RawNode(
        ADDRESS, read_node_file(make_key(system.home, "raw", tmp_path)), again=True
    ) as raw:
        assert raw.register().kind == "welcome"
        silent = read_node_file(make_key(system.home, "silent", tmp_path))
        with RawNode(ADDRESS, silent) as quiet, system.user() as user:
            assert quiet.watch(zmq.EVENT_HANDSHAKE_SUCCEEDED, 30)
            revoke(system, "silent")
            assert quiet.watch(zmq.EVENT_DISCONNECTED, 30), "it had said nothing yet"
            assert driver(user, "raw")["state"] == "ready", "it is not meant"
            revoke(system, "raw")
            assert driver(user, "raw")["state"] == "down"
            assert "revoked" in driver(user, "raw")["note"]
            assert raw.watch(zmq.EVENT_DISCONNECTED, 30)
            raw.events.clear()
            assert raw.watch(zmq.EVENT_CONNECTED, 30), "it tries again"
            assert not raw.watch(zmq.EVENT_HANDSHAKE_SUCCEEDED, 1.5)


def test_does_a_burst_of_a_revoked_node_go_on_elsewhere(system: Machines, tmp_path: Path) -> None:
    node = system.start_node(ADDRESS, make_key(system.home, "a", tmp_path), "--delay", "0.2")
    system.await_driver("a", node.pid)
    with system.user() as user, system.user() as watching:
        reader = Reader(user, 2)  # of 60: it is at it for 10 seconds yet
        revoke(system, "a")
        assert driver(watching, "a")["state"] == "down"
        other = system.start_node(ADDRESS, make_key(system.home, "b", tmp_path))
        reader.check()
        assert driver(watching, "b")["bursts"] == 1
    assert node.poll() is None, "it goes on dialling: the key may be granted again"
    for process in (node, other):
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "the connection to tcp://" in system.logged()


def test_is_a_node_that_vanishes_missed_soon_and_taken_back(
    system: Machines, tmp_path: Path
) -> None:
    node = system.start_node(ADDRESS, make_key(system.home, "far", tmp_path), "--delay", "0.03")
    system.await_driver("far", node.pid)
    with system.user() as user, system.user() as watching:
        reader = Reader(user, 10)
        stopped = time.time()
        node.send_signal(signal.SIGSTOP)
        eventually(lambda: down_at(watching, "far"))
        assert "silent" not in driver(watching, "far")["note"], "sooner than a silence tells"
        print(f"a stopped node was missed after {down_at(watching, 'far') - stopped:.2f} s")
        node.send_signal(signal.SIGCONT)
        reader.check()
        assert driver(watching, "far")["state"] == "ready"
    node.terminate()
    assert node.wait(30) == 0


def test_is_a_port_that_is_taken_said_clearly(system: Machines, tmp_path: Path) -> None:
    other = Machines(Home(tmp_path / "other"))
    try:
        assert other.start("-m", "kernel", "--listen", ADDRESS).wait(30) == 1
        assert f"nodes can't be listened for on {ADDRESS}: Address already" in other.logged()
        assert "see listen in config.yaml" in other.logged()
    finally:
        other.close()


def test_does_a_node_outlive_the_kernel(system: Machines, tmp_path: Path) -> None:
    node = system.start_node(ADDRESS, make_key(system.home, "loyal", tmp_path))
    system.await_driver("loyal", node.pid)
    system.kill_kernel()
    system.start_kernel("--listen", ADDRESS)
    system.await_driver("loyal", node.pid)
    node.terminate()
    assert node.wait(30) == 0
