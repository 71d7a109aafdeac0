"""One kernel for all the tests of a module, and a healthy client beside them.

Whatever a broken or hostile peer does gets a typed error, and that client is served all the time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmagentos import System
from tests.system.machines import Machines, Raw
from tests.system.peers import QUICKLY, bugs


@pytest.fixture(scope="module")
def healthy(shared: Machines) -> Iterator[System]:
    with shared.program() as system:
        yield system


@pytest.fixture(scope="module", autouse=True)
def _no_bug(shared: Machines) -> Iterator[None]:
    yield
    assert not bugs(shared)
    assert "Traceback" not in shared.logged()


@pytest.fixture(autouse=True)
def _others_are_served(shared: Machines, healthy: System) -> Iterator[None]:
    before = shared.kernel.pid
    yield
    assert shared.kernel.poll() is None, "the kernel died"
    assert healthy.call("sys.ping", within=QUICKLY)
    assert healthy.generate("are you there").text == "are you there"
    assert healthy.call("sys.info")["os_pid"] == before


@pytest.fixture
def raw(shared: Machines) -> Iterator[Raw]:
    with shared.raw() as raw:
        yield raw
