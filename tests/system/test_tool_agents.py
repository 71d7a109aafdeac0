"""Agents that call tools: real processes, a scripted model."""

from __future__ import annotations

from pathlib import Path

from llmagentos.home import Home
from tests.campaigns.hosts import runs
from tests.system.machines import Machines


def test_is_each_tool_called_once_though_the_host_is_killed(tmp_path: Path) -> None:
    machines = Machines(Home(tmp_path / "h"))
    try:
        assert runs(machines, 6, seed=7) == []
    finally:
        machines.close()
