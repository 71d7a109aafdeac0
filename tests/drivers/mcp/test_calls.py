"""Does a call of a server's tool give what the server said, or an error that says what to do?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.tool import Job
from llmagentos.abi.errors import ECANCELED, EDRIVER, EINVAL
from tests.drivers.mcp.conftest import Served


def test_are_its_tools_offered_with_their_schemas(shared: Served) -> None:
    card = shared.tools["s.add"].card
    assert card.description == "Adds."
    assert card.parameters["required"] == ["a"]
    assert "s.odd_-2fname_-5f-_-c3_-a9" in shared.tools
    assert shared.note == f"scripted 1.2.3, MCP 2026-07-28, {len(shared.tools)} tools"


def test_does_a_result_keep_its_shape(shared: Served) -> None:
    assert shared.call("echo", text="ünï")["content"] == [{"type": "text", "text": "ünï"}]
    assert shared.call("add", a=2)["structuredContent"] == {"result": 3}
    assert shared.call("odd_-2fname_-5f-_-c3_-a9")["content"][0]["text"] == "odd"
    (picture,) = shared.call("picture")["content"]
    assert picture == {"type": "image", "data": "AQID", "mimeType": "image/png"}


def test_is_a_refusal_one_that_a_model_can_act_on(shared: Served) -> None:
    with pytest.raises(EINVAL, match="no city of that name") as caught:
        shared.call("refuse")
    assert "other arguments" in caught.value.hint
    with pytest.raises(EINVAL) as caught:
        shared.call("refuse", length=30_000)
    assert caught.value.detail["characters"] > 30_000
    assert len(caught.value.detail["text"]) == 16_000


@pytest.mark.parametrize("arguments", [{}, {"a": "two"}, {"a": 1, "b": []}])
def test_are_wrong_arguments_an_error(shared: Served, arguments: dict[str, Any]) -> None:
    with pytest.raises(EINVAL, match="add"):
        shared.call("add", **arguments)


def test_is_a_result_bounded(shared: Served) -> None:
    assert len(shared.call("big", size=1_000_000)["content"][0]["text"]) == 1_000_000
    with pytest.raises(EDRIVER, match="the most is 1,048,576") as caught:
        shared.call("big", size=1_100_000)
    assert caught.value.hint
    with pytest.raises(EDRIVER, match="the most is 16,777,216"):
        shared.call("big", size=17_000_000)
    assert shared.call("add", a=1)["structuredContent"] == {"result": 2}
    assert shared.state == "ready"


def test_does_a_hanging_call_hold_nobody(shared: Served, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [Job(number, 2) for number in range(100, 108)]
    heard: list[BaseException] = []

    def hang(job: Job) -> None:
        try:
            shared.tools["s.hang"].run({"log": str(log)}, job)
        except BaseException as error:
            heard.append(error)

    threads = [threading.Thread(target=hang, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    shared.until(lambda: log.exists() and len(log.read_text().splitlines()) == 8)
    assert shared.call("add", a=1)["structuredContent"] == {"result": 2}
    assert not heard, "they hang as before"
    for job in jobs:
        job.aborted.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert [type(error) for error in heard] == [ECANCELED] * 8
    # The server is told, so that it can stop.
    shared.until(lambda: log.read_text().count("cancelled") == 8)


@pytest.mark.parametrize("protocol", ["auto", "legacy"])
def test_is_what_a_server_asks_for_refused(
    serve: Callable[..., Served], shared: Served, protocol: str
) -> None:
    served = shared if protocol == "auto" else serve(protocol=protocol).ready()
    for what in ("sampling", "roots", "elicitation"):
        assert "refused: " in served.call("ask", what=what)["content"][0]["text"]
    assert served.call("add", a=1)["structuredContent"] == {"result": 2}


def test_is_progress_logged(shared: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "driver")
    assert shared.call("steps")["content"][0]["text"] == "done"
    assert "s.steps: 1 of 3 step 1" in caplog.text
