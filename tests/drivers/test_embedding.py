"""Are the vectors of the real model the right ones, whatever is read beside a text, and whole?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from drivers.embedding.engine import WINDOW, EmbeddingEngine
from drivers.embedding.windows import Windows
from drivers.models import Store
from llmagentos.abi.errors import EIO, ENOENT

MODEL = "all-minilm-l6-v2"

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def folder() -> Path:
    return Store.default().path(MODEL)


@pytest.fixture(scope="module")
def engine(folder: Path) -> EmbeddingEngine:
    return EmbeddingEngine(MODEL, folder, threads=2)


def near(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def vectors(engine: EmbeddingEngine, *texts: str) -> list[list[float]]:
    return engine.embed(MODEL, list(texts))[0]


def test_is_what_means_the_same_nearer_than_what_does_not(engine: EmbeddingEngine) -> None:
    folder, tree, birthday = vectors(
        engine, "duplicate a folder and what is in it", "copy a directory tree", "happy birthday"
    )
    assert near(folder, tree) > 0.5
    assert near(folder, birthday) < 0.3
    assert len(folder) == 384
    for one in (folder, tree, birthday):
        assert math.isclose(math.hypot(*one), 1.0, abs_tol=1e-6)


def test_is_a_vector_the_same_whatever_is_read_beside_it(engine: EmbeddingEngine) -> None:
    alone = vectors(engine, "a hound")[0]
    assert vectors(engine, "x " * 500, "a hound", "!" * 300, "")[1] == alone


def test_does_the_end_of_a_long_text_count(engine: EmbeddingEngine) -> None:
    filler = "the weather is fine today and nothing happens. " * 60
    plain, ended = vectors(engine, filler, filler + "quarterly income tax declaration. " * 60)
    tax = vectors(engine, "income tax")[0]
    assert near(ended, tax) > near(plain, tax) + 0.05


def test_are_all_tokens_read_and_counted(engine: EmbeddingEngine, folder: Path) -> None:
    windows = Windows(folder / "tokenizer.json", WINDOW)
    room = WINDOW - 2
    for words in (0, 1, room - 1, room, room + 1, 3 * room):
        pieces, count = windows.of("dog " * words)
        assert count == words + 2
        assert sum(len(piece) - 2 for piece in pieces) == words
        assert max(map(len, pieces)) <= WINDOW
        assert {(piece[0], piece[-1]) for piece in pieces} == {(101, 102)}
    assert engine.embed(MODEL, ["dog", "dog dog", ""])[1] == 3 + 4 + 2


def test_does_no_text_have_more_tokens_than_is_reckoned_with(engine: EmbeddingEngine) -> None:
    """The kernel sets aside a token for each byte, and 16 around a text."""
    for text in ("!" * 5000, "é" * 2000, "語" * 2000, "\n" * 1000, "a" * 3000, "\0\x07 ?"):
        assert engine.embed(MODEL, [text])[1] <= len(text.encode()) + 16


def test_is_another_model_an_error(engine: EmbeddingEngine) -> None:
    with pytest.raises(ENOENT, match="no model"):
        engine.embed("other", ["x"])


@pytest.mark.parametrize("broken", ["model.onnx", "tokenizer.json"])
def test_is_a_broken_file_told_in_a_sentence(folder: Path, tmp_path: Path, broken: str) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / broken).unlink()
    (tmp_path / broken).write_bytes(b"nonsense")
    with pytest.raises(EIO, match=broken):
        EmbeddingEngine(MODEL, tmp_path, threads=1).embed(MODEL, ["x"])


def test_is_the_model_loaded_only_when_it_is_needed(tmp_path: Path) -> None:
    engine: Any = EmbeddingEngine(MODEL, tmp_path, threads=1)
    assert [card.embeds for card in engine.models] == [True]
    assert not engine.busy
    with pytest.raises(EIO):
        engine.embed(MODEL, ["x"])
