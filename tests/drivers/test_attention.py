"""Does each new token read exactly what its sequence has, however that is laid out and cut up?"""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from drivers.edge.attention import Span, Step
from drivers.edge.blocks import BLOCK
from drivers.edge.memory import PROGRAMS
from drivers.edge.pool import Pool, Shape

SIZE = 8
BLOCKS = 400


class World:
    """A pool full of numbers, and sequences that begin alike or don't, each of its own length."""

    def __init__(self, seed: int, kv_heads: int, heads: int) -> None:
        self.rng = random.Random(seed)
        self.kv_heads, self.heads = kv_heads, heads
        self.pool = Pool(Shape(1, kv_heads, SIZE), BLOCKS, torch.float64, torch.device("cpu"))
        self.pool._layers[0].copy_(torch.randn(self.pool._layers[0].shape))
        self.free = self.rng.sample(range(BLOCKS), BLOCKS)
        self.beginnings = [self._blocks(count) for count in (0, 2, 5, 20)]

    def _blocks(self, count: int) -> list[int]:
        return [self.free.pop() for _ in range(count)]

    def spans(self, number: int, longest: int) -> list[Span]:
        found = []
        for _ in range(number):
            known = self.rng.choice(self.beginnings)
            known = known[: self.rng.choice([len(known), len(known) // 2])]
            start = len(known) * BLOCK + self.rng.randrange(3 * BLOCK)
            count = self.rng.randint(1, longest)
            more = -(-(start + count) // BLOCK) - len(known)
            found.append(Span([*known, *self._blocks(more)], start, count))
        return found

    def expected(self, spans: list[Span], queries: Any) -> Any:
        """One token and head at a time."""
        all_of_it = self.pool._layers[0].view(2, self.kv_heads, BLOCKS, BLOCK, SIZE)
        rows: list[Any] = []
        for span in spans:
            there = all_of_it[:, :, list(span.blocks)].reshape(2, self.kv_heads, -1, SIZE)
            for end in range(span.start + 1, span.start + span.count + 1):
                asked = queries[len(rows)].view(self.kv_heads, -1, SIZE)
                keys, values = there[:, :, :end]
                weights = (asked @ keys.transpose(-1, -2)).softmax(-1)
                rows.append((weights @ values).flatten())
        return torch.stack(rows)


@pytest.mark.parametrize("piece", [1, 700, 3000, 25_000, 2**24])
def test_is_what_is_read_what_is_there(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr("drivers.edge.attention._PIECE", piece)
    torch.manual_seed(3)
    shared = 0
    for seed in range(24):
        # Else so few would never be worth a product of their own.
        monkeypatch.setattr("drivers.edge.attention.COST", 1 + seed % 3)
        world = World(seed, 1 + seed % 2 * 2, 1 + seed % 3)
        decoding = world.spans(seed % 7, 1)
        reading = world.spans(2 if not decoding else seed % 3, 40)
        tokens = sum(span.count for span in [*decoding, *reading])
        queries = torch.randn(tokens, world.kv_heads * world.heads, SIZE, dtype=torch.float64)
        both = torch.randn(tokens, 2 * world.kv_heads, SIZE, dtype=torch.float64)
        step = Step(world.pool, decoding, reading)
        shared += any(part.common is not None for part in step._parts)
        read = step.attend(0, queries, both)
        assert torch.allclose(read, world.expected([*decoding, *reading], queries), atol=1e-12)
    assert shared > 6, "what is common was hardly ever read for all"


def test_is_nothing_made_at_once_that_is_too_large_to_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = 64 * 1024
    monkeypatch.setattr("drivers.edge.attention._PIECE", most)
    world = World(1, 1, 3)
    sizes: list[int] = []
    softmax = torch.Tensor.softmax

    def measured(scores: Any, *args: Any) -> Any:
        sizes.append(scores.nbytes)
        return softmax(scores, *args)

    read, counts = world.pool.read, list[int]()

    def counted(layer: int, rows: Any, sequences: int) -> Any:
        counts.append(sequences)
        keys, values = read(layer, rows, sequences)
        sizes.append(keys.nbytes + values.nbytes)
        return keys, values

    monkeypatch.setattr(torch.Tensor, "softmax", measured)
    monkeypatch.setattr(world.pool, "read", counted)
    # 16 of 8 blocks, of which 4 are one piece; and one whose scores are 3 × 100 × 8 KB.
    decoding = [Span(world._blocks(8), 8 * BLOCK - 1, 1) for _ in range(16)]
    reading = [Span(world._blocks(32), 412, 100)]
    queries = torch.randn(116, 3, SIZE, dtype=torch.float64)
    both = torch.randn(116, 2, SIZE, dtype=torch.float64)
    Step(world.pool, decoding, reading).attend(0, queries, both)
    assert counts == [4, 4, 4, 4, 1]
    assert max(sizes) <= most


def test_are_there_no_more_products_than_programs_are_kept() -> None:
    # Each pair has so much in common, and each single one is so long, that a product of its own
    # would pay.
    fresh, decoding = iter(range(10**6)), list[Span]()
    for kind in range(40):
        common = [next(fresh) for _ in range(130 + kind)]
        for own in (3, 100 + kind):
            blocks = [*common, *(next(fresh) for _ in range(own))]
            decoding.append(Span(blocks, len(blocks) * BLOCK - 1, 1))
    parts = Step(World(1, 1, 1).pool, decoding, [])._parts
    assert sum(2 if part.common is None else 4 for part in parts) < PROGRAMS
    assert sum(part.count for part in parts) == len(decoding)
