"""Does private data stay where it may be, whatever programs do? The chunks of odd numbers."""

import pytest

from tests.interference.chunks import CHUNKS, check


@pytest.mark.parametrize("seeds", CHUNKS[1::2], ids=str)
def test_does_nothing_labelled_reach_who_is_not_cleared(seeds: range) -> None:
    check(seeds)
