"""Is it found by its meaning in a real system, also after the kernel or the driver was killed?

With the real model, and each process one of its own.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos import System
from llmagentos.home import Home
from tests.system.machines import Machines, eventually

pytestmark = pytest.mark.model

ROWS = {
    "diet": "Ann eats no meat; she likes noodles",
    "trip": "the hotel in Vienna has a view of the river",
    "car": "the garage changed the oil and the brakes in March",
}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(Home(tmp_path / "h"))
    try:
        machines.start_kernel()
        yield machines
    finally:
        machines.close()


def embedder(machines: Machines) -> Any:
    driver = machines.start(
        "-m", "drivers.embedding", "--name", "embedding", "--model", "all-minilm-l6-v2",
        "--threads", "1", "--label", "private", "--no-parent",
    )  # fmt: skip
    machines.await_driver("embedding", driver.pid, seconds=60)
    return driver


def search(user: System, query: str, by: str) -> dict[str, Any]:
    found: dict[str, Any] = user.call("mem.search", query=query, by=by)
    return found


def first(user: System, query: str) -> str:
    return str(search(user, query, "meaning")["hits"][0]["row"]["key"])


def complete(user: System) -> bool:
    found = search(user, "food", "both")
    return bool(found["by"] == "both" and found["lacking"] == 0)


def test_is_it_found_by_what_it_means(machines: Machines) -> None:
    with machines.user() as user:
        for key, value in ROWS.items():
            user.call("mem.put", key=key, value=value, labels=["private"])
        before = search(user, "Ann noodles", "both")
        assert ([hit["row"]["key"] for hit in before["hits"]], before["by"]) == (["diet"], "words")
        driver = embedder(machines)
        eventually(lambda: complete(user), 60)
        assert first(user, "what food does she enjoy") == "diet"
        assert first(user, "where do we stay on holiday") == "trip"
        assert first(user, "vehicle maintenance") == "car"
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        eventually(lambda: search(user, "noodles", "both")["by"] == "words")
    machines.kill_kernel()
    machines.start_kernel()
    embedder(machines)
    with machines.user() as user:
        eventually(lambda: complete(user), 60)
        assert first(user, "vehicle maintenance") == "car"
