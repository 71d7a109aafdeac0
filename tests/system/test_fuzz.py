"""Does the kernel answer whatever is said to it with a typed error, or do it, and serve all others?

The campaigns of ``make fuzz``. A failure tells the seed, and the shortest story that shows it.
"""

import time

import pytest

from tests.campaigns.findings import Findings
from tests.campaigns.fuzz import stateful_campaign, stateless_campaign

SEED = time.time_ns() % 1_000_000


@pytest.mark.timeout(900)
def test_does_a_live_kernel_bear_20000_messages_of_every_kind() -> None:
    findings = Findings()
    print(f"seed {SEED}: {stateless_campaign(20_000, SEED, findings)}")
    assert not findings.stories, f"seed {SEED}\n{findings}"


@pytest.mark.timeout(900)
def test_does_a_machine_bear_500_stories_of_many_calls() -> None:
    findings = Findings()
    print(f"seed {SEED}: {stateful_campaign(500, SEED, findings)}")
    assert not findings.stories, f"seed {SEED}\n{findings}"
