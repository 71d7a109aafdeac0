"""What the tests of ``llm.embed`` share: how vectors are asked for, and a driver that makes them.

Each token costs a thousandth. It knows nothing about rows of memory, whose vectors nobody pays for.
"""

from __future__ import annotations

from typing import Any

from tests.kernel.rig import FakeDriver, Program, Rig

PRICE = {"prompt": 1000.0, "completion": 0.0}
"""A thousandth for each token."""


def card(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "context_length": 512, "embeds": True, **more}


def embedder(rig: Rig, name: str = "vectors", *cards: dict[str, Any], **more: Any) -> FakeDriver:
    models = list(cards) or [card("vec", price=PRICE)]
    return rig.driver(name, models=models, features=["embed"], **more)


def embed(program: Program, *texts: str, **args: Any) -> int:
    return program.start("llm.embed", texts=list(texts) or ["a text"], **args)


def answer(driver: FakeDriver, order: Any, tokens: int = 3, **more: Any) -> None:
    driver.result(order, vectors=[[0.5, 1.0]] * len(order.texts), tokens=tokens, **more)


def orders(driver: FakeDriver) -> list[Any]:
    return driver.heard("embed")
