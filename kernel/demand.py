"""A demand: what a driver must offer for a burst. Bursts of the same demand wait for the same.

It knows nothing about which drivers there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kernel import ledger
from kernel.burst import Burst, Resumes
from kernel.rules import Rules
from llmagentos.abi.driver import Feature
from llmagentos.abi.manifest import Place


@dataclass(frozen=True, slots=True)
class Demand:
    """``models``: best first. ``features``: of a driver, without which it can't be done.

    ``resumes``: by what it goes on, if it has begun; ``numbered``: the model whose tokens' numbers
    it has. ``failed_on``: drivers that are not to have it again. ``patience``: seconds that it
    waits for a driver that is away. ``pinned``: the driver that keeps its KV. ``approved``: what
    must be asked for was. ``priced``: its money is limited.
    """

    models: tuple[str, ...]
    places: tuple[Place, ...]
    prefer: Place | None
    labels: tuple[str, ...]
    rights: tuple[Rules, ...]
    features: tuple[Feature, ...]
    resumes: Resumes | None
    numbered: str
    failed_on: tuple[str, ...]
    patience: float | None
    pinned: str | None
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
        features=tuple(_features(burst)),
        resumes=None if burst.kept else burst.resumes,
        numbered=burst.numbered if burst.tokens and not burst.kept else "",
        failed_on=burst.failed_on,
        patience=process.spec.placement.patience,
        pinned=burst.driver if burst.kept else None,
        approved=burst.approved,
        priced=ledger.is_limited(process, "money"),
    )


def _features(burst: Burst) -> Iterator[Feature]:
    if burst.sampling.grammar is not None:
        yield "grammar"
    if burst.sampling.logprobs is not None:
        yield "logprobs"
    if burst.tools:
        yield "tools"
