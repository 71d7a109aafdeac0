"""What the tests of search by meaning share: a driver whose vectors follow from a text's words.

Each word that it knows points its own way, so a test can say what is near what.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from tests.kernel.rig import USER, FakeDriver, Rig

IDS = count(5 * 10**6)

DIRECTIONS: Final = {
    "dog": [1.0, 0.0, 0.0], "hound": [0.9, 0.1, 0.0], "puppy": [0.8, 0.3, 0.0],
    "car": [0.0, 1.0, 0.0], "truck": [0.1, 0.9, 0.0], "tax": [0.0, 0.0, 1.0],
}  # fmt: skip


def vector(text: str) -> list[float]:
    words = text.lower().replace(":", " ").replace("-", " ").split()
    total = [0.01, 0.01, 0.01]
    for word in words:
        total = [a + b for a, b in zip(total, DIRECTIONS.get(word, [0.0] * 3), strict=True)]
    return total


def card(name: str = "vec", **fields: Any) -> dict[str, Any]:
    price = {"prompt": 0.0, "completion": 0.0}
    return {"name": name, "context_length": 256, "embeds": True, "price": price, **fields}


class Embedder(FakeDriver):
    """Answers only when it is told to."""

    def __init__(self, rig: Rig, name: str = "embedding", **fields: Any) -> None:
        self.answered = 0
        more = {"models": [card()], "features": ["embed"], "slots": 2, **fields}
        super().__init__(rig, name, more)

    @property
    def orders(self) -> list[Any]:
        """All that it was ever told to do, on its connections so far."""
        return self.heard("embed")

    @property
    def open(self) -> list[Any]:
        return self.orders[self.answered :]

    def answers(self, **more: Any) -> int:
        """What it has not answered yet; how many orders that were."""
        orders = self.open
        for order in orders:
            self.answered += 1
            self.result(order, vectors=[vector(text) for text in order.texts], tokens=3, **more)
        return len(orders)

    def catches_up(self, rounds: int = 50) -> None:
        """Until it is told nothing more."""
        for _ in range(rounds):
            self._rig.wait(0.3)
            if not self.answers():
                return
        raise AssertionError("there is no end of it")

    def register(self) -> None:
        self.answered = 0
        super().register()


def put(rig: Rig, **rows: Any) -> None:
    for key, value in rows.items():
        rig.call("mem.put", key=key.replace("_", "-"), value=value)


def lacking(rig: Rig, space: str = "proc/1") -> int:
    vectors = rig.store.memory.vectors
    return vectors.lacking(space, vectors.kind())


def ask(rig: Rig, query: str, by: str = "both", **args: Any) -> int:
    """A search, whose reply may be a while in coming; its id."""
    args = {"session": USER, "peer": b"user", **args}
    return rig.send("mem.search", id=next(IDS), query=query, by=by, **args)


def found(rig: Rig, driver: Embedder, query: str, **args: Any) -> dict[str, Any]:
    """What a search finds whose query gets its vector at once."""
    number = ask(rig, query, **args)
    driver.answers()
    return rig.result(number)


def keys(result: dict[str, Any]) -> list[str]:
    return [hit["row"]["key"] for hit in result["hits"]]
