"""Is whoever waits told what is waited for, and only for as long as that is so?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llmagentos.abi.calls.drv import DriverInfo
from shell import watch
from shell.commands.status import _show

HOST = DriverInfo(name="host", kind="host", state="ready", slots=9, running=0)
CLOUD = DriverInfo(name="cloud", kind="cloud", state="ready", slots=9, running=0)
EDGE = DriverInfo(
    name="edge", kind="edge", state="loading", note="the model", slots=9, running=0, progress=0.5
)
LOADED = EDGE.model_copy(update={"state": "ready"})


def _explained(
    monkeypatch: pytest.MonkeyPatch, looks: list[list[DriverInfo]], reason: str | None
) -> int:
    """How many looks were taken; the last one stays as it is."""
    taken: list[Any] = []

    def call(name: str) -> dict[str, Any]:
        assert name == "drv.list"
        taken.append(looks[min(len(taken), len(looks) - 1)])
        return {"drivers": [driver.model_dump() for driver in taken[-1]], "queued": 0}

    answer = SimpleNamespace(inbox=[], done=False)
    process = SimpleNamespace(reason=reason)
    system = SimpleNamespace(call=call, info=lambda pid: SimpleNamespace(process=process))
    monkeypatch.setattr(watch, "_GLANCE", 0.0)
    monkeypatch.setattr(watch, "_PIPES_QUIET", -1.0)
    watch.explain_silence(system, answer, 7)  # type: ignore[arg-type]
    return len(taken)


def test_is_one_told_of_the_driver_that_an_agent_waits_for_beside_one_that_is_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loading, ready = [HOST, CLOUD, EDGE], [HOST, CLOUD, LOADED]
    assert _explained(monkeypatch, [loading, loading, ready], "driver") == 3
    assert capsys.readouterr().err == "llmos: waiting for edge loading 50%: the model\n"


@pytest.mark.parametrize(("reason", "looks"), [("mail", 1), (None, 3)])
def test_is_nothing_told_of_a_driver_that_nobody_waits_for(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reason: str | None,
    looks: int,
) -> None:
    loading, ready = [HOST, CLOUD, EDGE], [HOST, CLOUD, LOADED]
    assert _explained(monkeypatch, [loading, loading, ready], reason) == looks
    assert capsys.readouterr().err == ""


def test_does_status_name_what_has_started_and_is_no_driver_yet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kernel = {"version": "1", "os_pid": 1, "boot": 1, "uptime": 1.0, "running": 0}
    gone = {"name": "wiki", "pid": None, "given_up": "it ended 5 times"}
    names = ("kernel", "edge", "repo")
    services = [gone, *({"name": name, "pid": 9, "given_up": ""} for name in names)]
    whole = {"home": "/h", "kernel": kernel, "processes": {}, "queued": 0, "services": services}
    _show(whole, {"drivers": [EDGE.model_dump()], "queued": 0})
    lines = capsys.readouterr().out.splitlines()
    assert "starting   repo" in lines
    assert "given up   wiki: it ended 5 times; llmos up tries again" in lines
