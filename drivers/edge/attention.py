"""Attention of one step: each new token to what its sequence has in the pool.

A sequence in the middle of its answer has one new token. Where several of them begin with the same
blocks, those are read once for all of them, in one dense product, and what each has beyond them
apart, into one row of scores (Hydragen, Juravsky et al. 2024, without its two softmaxes). The query
heads that share a key are taken as more queries of it, so no key is ever copied for them. On a CPU
no piece is so large that the C library would not keep its memory for the next one. It knows nothing
about layers, weights, or how a token is chosen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from drivers.edge.blocks import BLOCK
from drivers.edge.families import COST, families, of_a_length
from drivers.edge.memory import PROGRAMS
from drivers.edge.pool import Pool

_Places = torch.Tensor | slice
"""Of some sequences in the batch; a slice, where they lie side by side, copies nothing."""

_PIECE: Final = 16 * 2**20
"""Bytes of keys and values, or of scores, that are made at once on a CPU. From 32 MiB on the system
clears the memory each time (``memory``), which takes several times as long as to compute."""

_PRODUCTS: Final = PROGRAMS - 16
"""The most for those that decode, each of a shape of its own, so that there is a program for all
others too. Were they more than are kept, each would be made anew at each layer, which takes several
times as long as to compute."""


@dataclass(frozen=True, slots=True)
class Span:
    """The new tokens of one sequence in a step: ``count`` of them from position ``start`` on.
    ``blocks``: all of its blocks, those of the new tokens included."""

    blocks: Sequence[int]
    start: int
    count: int


@dataclass(slots=True)
class _Part:
    """``count`` sequences (``members``: their places in the batch) which begin with the same blocks
    (``common``: their rows; None if there are none), and have about as much beyond them (``own``).
    ``heads``: whose keys and values these are. ``mask``: [members, 1, tokens], added to the scores
    of what is their own."""

    members: _Places
    heads: slice
    count: int
    common: torch.Tensor | None
    own: torch.Tensor
    mask: torch.Tensor


@dataclass(slots=True)
class _Past:
    """All that some ``heads`` of a sequence have; its new ``tokens``, by their places in the batch,
    are the last ones. ``mask``: [new tokens, all tokens]."""

    tokens: slice
    heads: slice
    rows: torch.Tensor
    mask: torch.Tensor


class Step:
    """Who attends to what in one step: the same for all layers. ``decoding`` have one new token
    each, and come first; ``reading`` have several."""

    def __init__(self, pool: Pool, decoding: Sequence[Span], reading: Sequence[Span]) -> None:
        self._pool = pool
        self._piece = _PIECE if pool.device.type == "cpu" else sys.maxsize
        spans = [*decoding, *reading]
        places = [
            (span.blocks[at // BLOCK], at % BLOCK)
            for span in spans
            for at in range(span.start, span.start + span.count)
        ]
        self._slots = pool.slots([block for block, _ in places], [place for _, place in places])
        self._parts = self._grouped(decoding)
        self._reading: list[_Past] = []
        first = len(decoding)
        for span in reading:
            self._reading += self._past(span, first)
            first += span.count

    def attend(self, layer: int, queries: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
        """Write the new tokens' keys and values (``both``: [tokens, 2 × kv heads, size]), and let
        their ``queries`` [tokens, heads, size], which are scaled, attend: [tokens, heads × size].
        """
        self._pool.write(layer, self._slots, both)
        tokens, heads, size = queries.shape
        kv_heads = both.shape[1] // 2
        grouped = queries.view(tokens, kv_heads, heads // kv_heads, size)
        if len(self._parts) == 1 and not self._reading:
            return self._decode(layer, grouped, self._parts[0]).reshape(tokens, -1)
        out = torch.empty(grouped.shape, dtype=queries.dtype, device=queries.device)
        for part in self._parts:
            own = grouped[part.members, part.heads]
            out[part.members, part.heads] = self._decode(layer, own, part)
        for past in self._reading:
            own = grouped[past.tokens, past.heads].permute(1, 2, 0, 3)
            out[past.tokens, past.heads] = self._read(layer, own, past).permute(2, 0, 1, 3)
        return out.flatten(1)

    def _read(self, layer: int, queries: torch.Tensor, past: _Past) -> torch.Tensor:
        """``queries`` and what they read: [kv heads, heads of each, new tokens, size]."""
        keys, values = self._pool.read(layer, past.rows, len(queries))
        count, row = queries.shape[2], keys.shape[1] * keys.element_size()
        if queries.shape[:3].numel() * row <= self._piece:
            scores = (queries.flatten(1, 2) @ keys.transpose(-1, -2)).unflatten(1, (-1, count))
            weights = scores.add_(past.mask).softmax(-1).flatten(1, 2)
            return (weights @ values).unflatten(1, (-1, count))
        out = torch.empty_like(queries)
        rows = max(1, self._piece // row)
        for kv_head, heads in enumerate(queries):
            for head, asked in enumerate(heads):
                for at in range(0, count, rows):
                    scores = asked[at : at + rows] @ keys[kv_head].T
                    weights = scores.add_(past.mask[at : at + rows]).softmax(-1)
                    out[kv_head, head, at : at + rows] = weights @ values[kv_head]
        return out

    def _decode(self, layer: int, queries: torch.Tensor, part: _Part) -> torch.Tensor:
        """``queries`` and what they read: [members, kv heads, heads of each, size]."""
        count, (_, kv_heads, heads, size) = part.count, queries.shape
        each = queries.transpose(0, 1).contiguous().view(kv_heads * count, heads, size)
        keys, values = self._pool.read(layer, part.own, kv_heads * count)
        if part.common is None:
            scores = each @ keys.transpose(-1, -2)
            scores.view(kv_heads, count, heads, -1).add_(part.mask)
            read = scores.softmax(-1) @ values
        else:
            all_keys, all_values = self._pool.read(layer, part.common, kv_heads)
            # All queries at once to what is common, each to its own beside it: one softmax of both.
            together = each.view(kv_heads, count * heads, size)
            common, own = all_keys.shape[1], keys.shape[1]
            shape = (kv_heads, count * heads, common + own)
            scores = torch.empty(shape, dtype=queries.dtype, device=queries.device)
            torch.bmm(together, all_keys.transpose(-1, -2), out=scores[..., :common])
            beyond = scores.view(kv_heads * count, heads, -1)[..., common:]
            torch.bmm(each, keys.transpose(-1, -2), out=beyond)
            beyond.unflatten(0, (kv_heads, count)).add_(part.mask)
            weights = scores.softmax(-1)
            beyond = weights.view(kv_heads * count, heads, -1)[..., common:]
            read = (weights[..., :common] @ all_values).view(each.shape).baddbmm_(beyond, values)
        return read.view(kv_heads, count, heads, size).transpose(0, 1)

    def _grouped(self, decoding: Sequence[Span]) -> list[_Part]:
        """Find who begins alike, and among these whose rest is of similar length."""
        cost = COST
        groups = _groups(decoding, cost)
        while sum(4 if common else 2 for _, common, _ in groups) > _PRODUCTS:
            cost *= 2  # in the end there is one group
            groups = _groups(decoding, cost)
        found: list[_Part] = []
        for places, common, width in groups:
            # Pieces of one shape, as each has programs of its own in oneDNN.
            heads, most = self._at_once(common, width)
            size = _evenly(len(places), most)
            for at in range(0, len(places), size):
                piece = places[at : at + size]
                found += [self._part(piece, one, common, width, decoding) for one in heads]
        return found

    def _at_once(self, common: int, width: int) -> tuple[list[slice], int]:
        """In which pieces the heads are read, and of how many sequences in each, that have so many
        blocks in ``common`` and ``width`` beyond them."""
        shape = self._pool.shape
        room = self._piece * shape.layers // self._pool.block_bytes
        count = _evenly(
            shape.heads, max(1, min(shape.heads, shape.heads * room // (common + width)))
        )
        room = room * shape.heads // count
        # What is common is read for each piece again, so it must not leave next to no room.
        most = max(1, max(room - common, room // 2) // width)
        return [slice(at, at + count) for at in range(0, shape.heads, count)], most

    def _part(
        self, places: list[int], heads: slice, common: int, width: int, decoding: Sequence[Span]
    ) -> _Part:
        """``width``: blocks of what is their own, padded."""
        tables = [decoding[place].blocks[common:] for place in places]
        ends = [decoding[place].start + 1 - common * BLOCK for place in places]
        padded = [[*table[:width], *[table[0]] * (width - len(table))] for table in tables]
        columns = torch.arange(width * BLOCK, device=self._pool.device)
        beyond = columns[None] >= torch.tensor(ends, device=self._pool.device)[:, None]
        mask = torch.zeros(beyond.shape, dtype=self._pool.dtype, device=self._pool.device)
        mask = mask.masked_fill_(beyond, float("-inf"))[:, None]
        rows = None
        if common:
            rows = self._pool.rows([decoding[places[0]].blocks[:common]], heads)
        own = self._pool.rows(padded, heads)
        return _Part(self._index(places), heads, len(places), rows, own, mask)

    def _past(self, span: Span, first: int) -> list[_Past]:
        """``first``: the place of its first new token in the batch. Nobody sees what comes after
        him."""
        end = span.start + span.count
        used = -(-end // BLOCK)
        columns = torch.arange(used * BLOCK, device=self._pool.device)
        own = torch.arange(span.start, end, device=self._pool.device)
        shape = (len(own), len(columns))
        mask = torch.zeros(shape, dtype=self._pool.dtype, device=self._pool.device)
        mask.masked_fill_(columns[None] > own[:, None], float("-inf"))
        tokens, blocks = slice(first, first + span.count), span.blocks[:used]
        heads, _ = self._at_once(0, used)
        return [_Past(tokens, one, self._pool.rows([blocks], one), mask) for one in heads]

    def _index(self, places: list[int]) -> _Places:
        if places == list(range(places[0], places[0] + len(places))):
            return slice(places[0], places[0] + len(places))
        return torch.tensor(places, device=self._pool.device)


def _groups(decoding: Sequence[Span], cost: int) -> list[tuple[list[int], int, int]]:
    """Who is read together, by their places; the blocks that they begin with, and the most that one
    of them has beyond these."""
    found = []
    for members, common in families([span.blocks for span in decoding], cost):
        own = [decoding[place].start // BLOCK + 1 - common for place in members]
        for group in of_a_length(own, cost):
            places, width = [members[at] for at in group], max(own[at] for at in group)
            found.append((places, common, width))
    return found


def _evenly(number: int, most: int) -> int:
    """In pieces of this size, none has more than ``most``, and all have about as many."""
    return -(-number // -(-number // most))
