"""Is the edge engine exact, and does it keep its books, whatever happens to whom?

A few stories of the campaign ``tests.campaigns.engine``, always the same ones.
"""

from __future__ import annotations

from typing import Any

from tests.campaigns.engine import run
from tests.campaigns.findings import Findings
from tests.campaigns.oracle import Oracle


def test_is_every_token_right_and_every_block_accounted_for(tiny_model: Any) -> None:
    findings = Findings()
    done = run(Oracle(tiny_model), (f"test {number}" for number in range(6)), findings)
    assert not findings.stories, str(findings)
    assert done["length"] > 20
