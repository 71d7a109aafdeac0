"""Does a node in another network work, over a line that is slow and lossy, and through a cut?"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmagentos.home import Home
from tests.system.machines import Machines, eventually
from tests.system.networks import ADDRESSES, DELAY, Networks, Unavailable
from tests.system.nodes import make_key

ADDRESS = f"tcp://{ADDRESSES[0]}:7667"
WORDS = [f"w{n} " for n in range(120)]
CUT = 10.0
DIALS = f"""
import socket, time
begun = time.monotonic()
socket.create_connection(("{ADDRESSES[0]}", 7667), 10).close()
print(time.monotonic() - begun)
"""


@pytest.fixture
def networks() -> Iterator[Networks]:
    try:
        made = Networks()
    except Unavailable as why:
        pytest.skip(str(why))
    yield made
    made.close()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(Home(tmp_path / "h"))
    yield machines
    machines.close()
    print(machines.logged()[-8000:])


def test_does_a_node_in_another_network_survive_a_cut_of_ten_seconds_without_a_token_lost(
    networks: Networks, machines: Machines, tmp_path: Path
) -> None:
    machines.start_kernel("--listen", ADDRESS, within=networks.within(0))
    there = networks.within(1)
    dialled = subprocess.run([*there, sys.executable, "-c", DIALS], capture_output=True, text=True)
    assert float(dialled.stdout) >= 2 * DELAY, dialled.stderr
    node = machines.start_node(
        ADDRESS, make_key(machines.home, "far", tmp_path), "--delay", "0.05", within=there
    )
    machines.await_driver("far", node.pid)

    with machines.user() as user, machines.user() as watching:

        def happened(kind: str) -> list[float]:
            events = watching.call("sys.events", limit=10_000)["events"]
            return [event["time"] for event in events if event["type"] == kind]

        stream = user.generate_stream("".join(WORDS), max_tokens=len(WORDS))
        heard = []

        def listen() -> None:
            heard.extend(piece.text for piece in stream.pieces())

        listener = threading.Thread(target=listen)
        listener.start()
        eventually(lambda: len(heard) > 3)
        before, began = networks.tell("cut"), time.time()
        eventually(lambda: happened("drv.down"))
        (far,) = (r for r in watching.call("drv.list")["drivers"] if r["name"] == "far")
        assert "silent" not in far["note"], "sooner than a silence tells"
        noticed = happened("drv.down")[0] - began
        print(f"the cut was noticed after {noticed:.2f} s")
        time.sleep(max(0.0, began + CUT - time.time()))
        assert len(heard) < len(WORDS)
        networks.tell("mend")
        mended = time.time()
        listener.join(90)
        assert not listener.is_alive()
        back = happened("drv.up")[1] - mended
        print(f"it was back {back:.2f} s after the line; {networks.tell('count')} packets")
        result = stream.result()
        assert "".join(heard) == "".join(WORDS)
        assert result["text"] == "".join(WORDS)
        assert result["usage"]["completion_tokens"] == len(WORDS)
        assert len(happened("burst.started")) == 2
        assert len(happened("drv.down")) == 1
    assert before["lost"] > 0, "no packet was lost: the line was too good"
