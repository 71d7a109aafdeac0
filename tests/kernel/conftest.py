"""What most tests of the kernel begin with; some have a rig of their own."""

from __future__ import annotations

import pytest

from tests.kernel.rig import FakeHost, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def booted(rig: Rig) -> None:
    """What a boot leaves to be done is done."""
    rig.wait(1)


@pytest.fixture
def host(rig: Rig) -> FakeHost:
    return rig.host(slots=64)
