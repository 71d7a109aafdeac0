"""A demand: what a driver must offer for a burst. Bursts of the same demand wait for the same.

It knows nothing about which drivers there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernel import ledger
from kernel.burst import Burst
from kernel.rules import Rules
from llmagentos.abi.manifest import Place


@dataclass(frozen=True, slots=True)
class Demand:
    """``models``: best first. ``pinned``: the driver that keeps its KV. ``resumes``: it brings
    tokens along. ``approved``: what must be asked for was. ``priced``: its money is limited."""

    models: tuple[str, ...]
    places: tuple[Place, ...]
    prefer: Place | None
    labels: tuple[str, ...]
    rights: tuple[Rules, ...]
    pinned: str | None
    resumes: bool
    approved: bool
    priced: bool


def demand_of(burst: Burst) -> Demand:
    process = burst.process
    return Demand(
        models=burst.models,
        places=process.places,
        prefer=process.spec.placement.prefer,
        labels=burst.labels,
        rights=process.rights,
        pinned=burst.driver if burst.kept else None,
        resumes=bool(burst.tokens) and not burst.kept,
        approved=burst.approved,
        priced=ledger.is_limited(process, "money"),
    )
