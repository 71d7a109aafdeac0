"""What becomes of an answer of the real model whose driver is killed in its middle?"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("openai")
pytest.importorskip("xllamacpp")

from drivers.models import ensure
from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.home import Home
from tests.acceptance.llama_server import llama_server
from tests.campaigns.failover import KILLED_AFTER, TOKENS, Pair, prompt, rounds
from tests.system.machines import Machines

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]


def test_does_another_edge_driver_go_on_to_the_letter(tmp_path: Path) -> None:
    ensure(DEFAULT_MODEL)
    machines = Machines(Home(tmp_path / "h"))
    try:
        assert rounds(machines, 1) == []
    finally:
        machines.close()


def test_does_a_server_of_another_kind_go_on_from_the_text(tmp_path: Path) -> None:
    ensure(DEFAULT_MODEL)
    machines = Machines(Home(tmp_path / "h"))
    pair = Pair(machines)
    try:
        with llama_server() as url:
            machines.start_kernel()
            pair.start("edge")
            pair.ready()
            cloud = machines.start(
                "-m", "drivers.cloud", "--name", "cloud", "--endpoint", url, "--continues",
                "prefill", "--model", DEFAULT_MODEL, "--slots", "2", "--no-parent",
            )  # fmt: skip
            machines.await_driver("cloud", cloud.pid, 60)
            with machines.user() as user:
                user.call("drv.drain", name="cloud", on=True)
                stream = user.generate_stream(prompt(1), model=DEFAULT_MODEL, max_tokens=TOKENS)
                heard = []
                for piece in stream:
                    heard.append(piece)
                    if len(heard) == KILLED_AFTER:
                        user.call("drv.drain", name="cloud", on=False)
                        pair.drivers["edge"].kill()
                        pair.drivers["edge"].wait()
                result = stream.result()
            assert result["driver"] == "cloud"
            assert result["text"] == "".join(heard), "without a gap or a repeat"
            assert len(heard) > KILLED_AFTER
            assert result["usage"]["completion_tokens"] <= TOKENS
    finally:
        machines.close()
