"""Who is behind a door, whatever order the words of coming and going arrive in?"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.door import Door

CLIENT = """
import sys, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.setsockopt(zmq.ROUTING_ID, sys.argv[2].encode())
socket.connect(sys.argv[1])
socket.send_multipart([b"header", b"body"])
socket.close()
socket.context.term()
"""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    made = Door(f"ipc://{tmp_path}/door")
    yield made
    made.close()


def comes_and_goes(door: Door, name: str) -> None:
    address = door.socket.getsockopt_string(32)  # ZMQ_LAST_ENDPOINT
    subprocess.run([sys.executable, "-c", CLIENT, address, name], check=True, timeout=60)
    # Its message and its end have come.
    assert door.socket.poll(30_000)
    assert door.monitor.poll(30_000)
    time.sleep(0.1)


def test_is_an_end_that_was_heard_before_the_last_message_an_end(door: Door) -> None:
    comes_and_goes(door, "one")
    door.watch(0)
    assert door.receive(0) == (b"one", [b"header", b"body"], "")
    assert door.gone(1) == [b"one"]
    comes_and_goes(door, "two")
    assert door.receive(2) == (b"two", [b"header", b"body"], "")
    door.watch(2)
    assert door.gone(5) == [b"two"], "the first owner of the descriptor was taken for the second"
