"""Is one told which driver is ill, and where to read why?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from llmagentos.home import Home
from shell.cli import main
from tests.system.machines import Machines, eventually


@pytest.fixture
def ill(home: Home) -> Any:
    """A system with a tool driver whose server does not exist."""
    machines = Machines(home)
    machines.start_kernel()
    machines.start("-m", "drivers.mcp", "--name", "broken", "--stdio", "no-such-program")

    def failed() -> bool:
        with machines.user() as user:
            return [row["state"] for row in user.call("drv.list")["drivers"]] == ["failed"]

    eventually(failed, 60)
    yield machines
    machines.close()


def test_does_the_list_of_drivers_say_where_an_ill_one_wrote(
    ill: Machines, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["drivers"])
    assert "what broken wrote" not in capsys.readouterr().out  # it is on another machine, perhaps
    log = ill.home.logs / "broken.log"
    log.touch()
    main(["drivers"])
    assert f"what broken wrote is in {log}\n" in capsys.readouterr().out


def test_does_doctor_warn_of_an_ill_driver(
    ill: Machines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shell.commands.models.store", lambda *_: {"models": []})
    log = ill.home.logs / "broken.log"
    log.touch()
    main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    (check,) = [check for check in checks if check["name"] == "driver"]
    assert not check["ok"]
    assert not check["grave"]
    assert "broken failed: MCP server: there is no program no-such-program" in check["found"]
    assert check["remedy"] == f"read {log}"


def test_is_one_told_that_ones_own_log_has_no_end(
    on_machines: Callable[..., tuple[int, str, str]],
) -> None:
    status, _, told = on_machines("logs", "1", "-f")
    assert status == 2
    assert "1 is you" in told
    assert "llmos events -f" in told
