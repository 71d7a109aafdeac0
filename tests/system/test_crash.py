"""Does a kernel that is killed under load lose nothing, and do nothing twice?

The short form of ``make crash``: each named point once, and some random moments.
"""

import time

import pytest

from kernel.crashpoints import POINTS
from tests.campaigns.crash import Campaign


@pytest.mark.timeout(600)
def test_is_what_was_acknowledged_there_once_after_each_of_16_kills() -> None:
    campaign = Campaign(16, seed=time.time_ns() % 1_000_000, say=print)
    outcome = campaign.run()
    assert not outcome.failures, outcome.failures[0]
    assert set(POINTS) <= set(outcome.kills)
    assert outcome.kills.total() >= 16
    assert outcome.repeated
