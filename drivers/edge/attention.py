"""Attention of one step: each new token to what its sequence has in the pool.

A sequence in the middle of its answer has one new token. Where several of them begin with the same
blocks, those are read once for all of them, in one dense product, and what each has beyond them
apart; the two parts are put together by the sums of their exponentials, which is exact (Hydragen,
Juravsky et al. 2024). The query heads that share a key are taken as more queries of it, so no key
is ever copied for them. It knows nothing about layers, weights, or how a token is chosen.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch

from drivers.edge.blocks import BLOCK
from drivers.edge.pool import Pool

_Places = torch.Tensor | slice
"""Of some sequences in the batch; a slice, where they lie side by side, copies nothing."""

_LOG2_E: Final = math.log2(math.e)
_SHARED_AT_LEAST: Final = 4
"""Blocks in common, below which it is quicker to read them for each sequence."""


@dataclass(frozen=True, slots=True)
class Span:
    """The new tokens of one sequence in a step: ``count`` of them from position ``start`` on.
    ``blocks``: all of its blocks, those of the new tokens included."""

    blocks: Sequence[int]
    start: int
    count: int


@dataclass(slots=True)
class _Common:
    """Sequences (``members``: their places in the batch) that begin with the same blocks."""

    members: _Places
    rows: torch.Tensor


@dataclass(slots=True)
class _Own:
    """``count`` sequences of about the same length, beyond what they have in common with others.
    ``mask``: [members, 1, 1, tokens], added to the scores."""

    members: _Places
    count: int
    rows: torch.Tensor
    mask: torch.Tensor
    shared: bool


@dataclass(slots=True)
class _Past:
    """All that a sequence has, of which the last ``count`` tokens are new. ``mask``: [new tokens,
    all tokens]."""

    count: int
    rows: torch.Tensor
    mask: torch.Tensor


class Step:
    """Who attends to what in one step: the same for all layers. ``decoding`` have one new token
    each, and come first; ``reading`` have several."""

    def __init__(self, pool: Pool, decoding: Sequence[Span], reading: Sequence[Span]) -> None:
        self._pool = pool
        spans = [*decoding, *reading]
        places = [
            (span.blocks[at // BLOCK], at % BLOCK)
            for span in spans
            for at in range(span.start, span.start + span.count)
        ]
        self._slots = pool.slots([block for block, _ in places], [place for _, place in places])
        self._decoding = len(decoding)
        self._common: list[_Common] = []
        self._own: list[_Own] = []
        self._group(decoding)
        self._reading = [self._past(span) for span in reading]

    def attend(self, layer: int, queries: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
        """Write the new tokens' keys and values (``both``: [tokens, 2 × kv heads, size]), and let
        their ``queries`` [tokens, heads, size], which are scaled, attend: [tokens, heads × size].
        """
        self._pool.write(layer, self._slots, both)
        tokens, heads, size = queries.shape
        kv_heads = both.shape[1] // 2
        grouped = queries.view(tokens, kv_heads, heads // kv_heads, size)
        if self._alone:
            part = self._own[0]
            keys, values = self._pool.read(layer, part.rows, part.count)
            return _read(grouped, keys, values, part.mask).reshape(tokens, -1)
        out = torch.empty(grouped.shape, dtype=queries.dtype, device=queries.device)
        if self._decoding:
            self._decode(layer, grouped, out)
        first = self._decoding
        for past in self._reading:
            past_keys, past_values = self._pool.read(layer, past.rows, 1)
            count = past.count
            # [kv heads, queries of all its heads, size]
            own = grouped[first : first + count].permute(1, 2, 0, 3).flatten(1, 2)
            scores = (own @ past_keys[0].transpose(-1, -2)).unflatten(1, (-1, count))
            weights = scores.add_(past.mask).softmax(-1).flatten(1, 2)
            read = weights @ past_values[0]
            out[first : first + count] = read.unflatten(1, (-1, count)).permute(2, 0, 1, 3)
            first += count
        return out.flatten(1)

    @property
    def _alone(self) -> bool:
        """Whether all attend in one piece."""
        return not self._reading and not self._common and len(self._own) == 1

    def _decode(self, layer: int, queries: torch.Tensor, out: torch.Tensor) -> None:
        """``queries``: [tokens, kv heads, heads of each, size]."""
        total = torch.empty(queries.shape[:3], dtype=torch.float32, device=queries.device)
        for group in self._common:
            keys, values = self._pool.read(layer, group.rows, 1)
            own = queries[group.members]
            flat = own.transpose(0, 1).flatten(1, 2)
            read, sums = _attend(flat, keys[0], values[0])
            shape = (own.shape[1], own.shape[0], own.shape[2])
            out[group.members] = read.view(*shape, -1).transpose(0, 1)
            total[group.members] = sums.view(shape).transpose(0, 1)
        for part in self._own:
            keys, values = self._pool.read(layer, part.rows, part.count)
            if not part.shared:
                out[part.members] = _read(queries[part.members], keys, values, part.mask)
                continue
            read, sums = _attend(queries[part.members], keys, values, part.mask)
            share = torch.sigmoid(sums.sub_(total[part.members]))[..., None]
            before = out[part.members].float()
            out[part.members] = torch.lerp(before, read.float(), share).to(out.dtype)

    def _group(self, decoding: Sequence[Span]) -> None:
        """Find who begins alike, and put the rest of all into parts of similar length."""
        alike: dict[int, list[int]] = defaultdict(list)
        for place, span in enumerate(decoding):
            alike[span.blocks[0]].append(place)
        lengths: dict[tuple[bool, int], list[tuple[int, int]]] = defaultdict(list)
        for places in alike.values():
            common = _in_common([decoding[place].blocks for place in places])
            if common:
                rows = self._pool.rows([decoding[places[0]].blocks[:common]])
                self._common.append(_Common(self._index(places), rows))
            for place in places:
                span = decoding[place]
                blocks = span.start // BLOCK + 1 - common
                width = 1 << (blocks - 1).bit_length()
                lengths[common > 0, width].append((place, common))
        for (shared, _), members in sorted(lengths.items()):
            members.sort()
            self._own.append(self._part([place for place, _ in members], members, decoding, shared))

    def _part(
        self,
        places: list[int],
        members: list[tuple[int, int]],
        decoding: Sequence[Span],
        shared: bool,
    ) -> _Own:
        tables = [decoding[place].blocks[common:] for place, common in members]
        ends = [decoding[place].start + 1 - common * BLOCK for place, common in members]
        width = -(-max(ends) // BLOCK)
        padded = [[*table[:width], *[table[0]] * (width - len(table))] for table in tables]
        columns = torch.arange(width * BLOCK, device=self._pool.device)
        beyond = columns[None] >= torch.tensor(ends, device=self._pool.device)[:, None]
        mask = torch.zeros(beyond.shape, dtype=self._pool.dtype, device=self._pool.device)
        mask = mask.masked_fill_(beyond, float("-inf"))[:, None, None]
        rows = self._pool.rows(padded)
        return _Own(self._index(places), len(places), rows, mask, shared)

    def _past(self, span: Span) -> _Past:
        """Nobody sees what comes after him."""
        end = span.start + span.count
        used = -(-end // BLOCK)
        columns = torch.arange(used * BLOCK, device=self._pool.device)
        own = torch.arange(span.start, end, device=self._pool.device)
        shape = (len(own), len(columns))
        mask = torch.zeros(shape, dtype=self._pool.dtype, device=self._pool.device)
        mask.masked_fill_(columns[None] > own[:, None], float("-inf"))
        return _Past(span.count, self._pool.rows([span.blocks[:used]]), mask)

    def _index(self, places: list[int]) -> _Places:
        if places == list(range(places[0], places[0] + len(places))):
            return slice(places[0], places[0] + len(places))
        return torch.tensor(places, device=self._pool.device)


def _in_common(tables: list[Sequence[int]]) -> int:
    """With how many blocks all of them begin; 0 if that is not worth a product of its own."""
    if len(tables) < 2:
        return 0
    # A block with a new token in it is never shared, so each has one beyond these.
    first, most = tables[0], min(map(len, tables)) - 1
    common = 0
    while common < most and all(table[common] == first[common] for table in tables):
        common += 1
    return common if common >= _SHARED_AT_LEAST else 0


def _read(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """[sequences, kv heads, queries, size]. A softmax sums in fp32, whatever it is given."""
    scores = (queries @ keys.transpose(-1, -2)).add_(mask)
    return scores.softmax(-1) @ values


def _attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is read, [..., queries, size], and the logarithm of the sum of the exponentials."""
    scores = queries @ keys.transpose(-1, -2)
    if mask is not None:
        scores.add_(mask)
    # By hand, since softmax and logsumexp would each take the exponentials.
    wide = scores.float()
    top = wide.amax(-1, keepdim=True)
    # Powers of 2, which take torch a third of the time of powers of e.
    weights = torch.add(top * -_LOG2_E, wide, alpha=_LOG2_E, out=wide).exp2_()
    total = weights.sum(-1, keepdim=True)
    read = (weights.to(values.dtype) @ values).float().div_(total)
    return read.to(values.dtype), total.log_().add_(top).squeeze(-1)
