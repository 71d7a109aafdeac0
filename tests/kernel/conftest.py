"""What most tests of the kernel begin with; some have a rig of their own."""

from __future__ import annotations

import pytest

from tests.kernel.rig import FakeHost, Rig


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.wait(1)  # what a boot leaves to be done is done
    return rig


@pytest.fixture
def host(rig: Rig) -> FakeHost:
    return rig.host(slots=64)
