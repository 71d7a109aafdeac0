"""A mock endpoint, and cloud engines for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("openai")

from tests.drivers.cloud.driven import Driven, driving
from tests.drivers.cloud.endpoint import MockEndpoint


@pytest.fixture
def mock() -> Iterator[MockEndpoint]:
    with MockEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def drive(mock: MockEndpoint) -> Iterator[Callable[..., Driven]]:
    with driving(mock.url) as make:
        yield make
