"""A library: pages in the kernel's memory, the embedding driver's own engine beside it, and
questions whose right answers are known.

Only what is between them is played: no sockets, and no waiting. It knows nothing about how good a
search must be.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from drivers.embedding.engine import EmbeddingEngine, card
from drivers.models import Store
from tests.kernel.rig import Rig
from tests.search.pages import PAGES, pages

MODEL: Final = "all-minilm-l6-v2"
FIRST: Final = 5
"""Among so many the right page must be."""
_QUESTIONS: Final = Path(__file__).with_name("questions.yaml")


@dataclass(frozen=True)
class Question:
    """``pages``: those that answer it."""

    ask: str
    pages: tuple[str, ...]


def questions() -> list[Question]:
    told = yaml.safe_load(_QUESTIONS.read_text(encoding="utf-8"))
    return [Question(one["ask"], tuple(one["pages"])) for one in told]


class Library:
    """With fewer than all pages, those that answer the first questions are among them."""

    def __init__(self, count: int = PAGES, asked: int = 100) -> None:
        self.questions = questions()[:asked]
        everything = pages()
        needed = [page for one in self.questions for page in one.pages]
        names = dict.fromkeys([*needed, *everything] if count < len(everything) else everything)
        self.pages = {name: everything[name] for name in list(names)[:count]}
        self._rig = Rig()
        self._engine = EmbeddingEngine(MODEL, Store.default().path(MODEL), threads=2)
        models = [card(MODEL).model_dump()]
        self._driver = self._rig.driver("embedding", models=models, features=["embed"], slots=2)
        self._answered = 0

    def fill(self) -> None:
        """All pages in, and a vector for each."""
        for name, text in self.pages.items():
            self._rig.call("mem.put", space="python", key=name, value=text)
        while self.lacking():
            self._rig.wait(0.3)
            self._answer()

    def lacking(self) -> int:
        """Pages without a vector."""
        vectors = self._rig.store.memory.vectors
        return vectors.lacking("python", vectors.kind())

    def search(self, ask: str, way: str) -> list[str]:
        """The first pages that are found so."""
        if way == "any word":
            memory = self._rig.machine.memory
            sweep = memory.sweep("python", ask, False)
            assert sweep is not None
            assert not sweep.step()
            return [one.key for one in sweep.found(False, self._rig.now, FIRST)]
        number = self._rig.send("mem.search", space="python", query=ask, limit=FIRST, by=way)
        self._answer()
        body = self._rig.reply(number)
        assert body is not None
        assert body["ok"], body
        result = body["result"]
        assert (result["by"], result["lacking"]) == (way, 0)
        return [hit["row"]["key"] for hit in result["hits"]]

    def found(self, way: str) -> set[str]:
        """The questions whose answer is among the first pages."""
        return {
            one.ask for one in self.questions if set(one.pages) & set(self.search(one.ask, way))
        }

    def _answer(self) -> None:
        """The driver does what it was told to."""
        orders = self._driver.heard("embed")
        for order in orders[self._answered :]:
            self._answered += 1
            vectors, tokens = self._engine.embed(order.model, order.texts)
            self._driver.result(order, vectors=vectors, tokens=tokens)
            orders = self._driver.heard("embed")
