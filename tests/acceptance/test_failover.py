"""Is an answer of the real model the same when its driver is killed in its middle?"""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.models import ensure
from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.home import Home
from tests.campaigns.failover import rounds
from tests.system.machines import Machines

pytestmark = [pytest.mark.model, pytest.mark.timeout(240)]


def test_does_another_edge_driver_go_on_to_the_letter(tmp_path: Path) -> None:
    ensure(DEFAULT_MODEL)
    machines = Machines(Home(tmp_path / "h"))
    try:
        assert rounds(machines, 1) == []
    finally:
        machines.close()
