"""A mock endpoint, and cloud engines for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("openai")

from tests.drivers.cloud.driven import Driven, driving
from tests.drivers.cloud.endpoint import MockEndpoint


@pytest.fixture(autouse=True)
def _ample(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, what an endpoint has said is heard."""
    monkeypatch.setattr("drivers.cloud.transport._WORDS", 30.0)
    monkeypatch.setattr("drivers.cloud.call._LAST_WORDS", 30.0)


@pytest.fixture
def mock() -> Iterator[MockEndpoint]:
    with MockEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def drive(mock: MockEndpoint) -> Iterator[Callable[..., Driven]]:
    with driving(mock.url) as make:
        yield make
