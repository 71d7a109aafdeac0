"""The paged runner: sequences in the blocks of one pool.

A sequence begins with the blocks that are there already of what it begins with, takes more as it
grows, and is let in only when all that it may come to need is free: so no sequence ever has to be
thrown out in the middle of its answer. One that is held keeps its blocks until somebody needs the
room; then they are put away on the disk, and brought back when it goes on, never computed again.
It knows nothing about how the model computes, nor about how a token is chosen.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

from drivers.edge.attention import Span, Step
from drivers.edge.blocks import BLOCK, Blocks, name_of, root
from drivers.edge.llama import Llama
from drivers.edge.pool import Pool
from drivers.edge.runner import Plan, Reading
from drivers.edge.sequence import Sequence as Burst
from drivers.edge.swap import Swap
from llmagentos.abi.errors import ENOSPC, LLMOSError


@dataclass(slots=True)
class _Table:
    """Of one sequence: its ``blocks``, for ``length`` tokens; the first ``named`` of them are full,
    and the last of those is called ``name``. ``wants``: how many blocks it may come to need.
    ``away``: where its blocks are on the disk, if they are there."""

    wants: int
    name: bytes
    blocks: list[int] = field(default_factory=list)
    length: int = 0
    named: int = 0
    away: str | None = None


class PagedRunner:
    """``kv_bytes``: the most that the pool may take."""

    def __init__(self, llama: Llama, kv_bytes: int, swap: Swap) -> None:
        self._llama = llama
        count = max(1, kv_bytes // llama.shape.block_bytes(llama.dtype))
        self._blocks = Blocks(count)
        self._pool = Pool(llama.shape, count, llama.dtype, llama.device)
        self._swap = swap
        self._active: dict[int, _Table] = {}
        self._parked: OrderedDict[int, _Table] = OrderedDict()
        """Those that are held, the one that ran longest ago first."""

    @property
    def kv_bytes(self) -> int:
        return self._blocks.held * self._pool.block_bytes

    @property
    def most(self) -> int:
        return self._blocks.count * BLOCK

    # -- who is let in -----------------------------------------------------------------------

    def plan(self, waiting: Iterable[Burst], budget: int) -> Plan:
        chosen: list[tuple[Burst, int]] = []
        lost: list[tuple[Burst, LLMOSError]] = []
        full = False
        coming: set[bytes] = set()
        """Blocks that this step computes: who begins with one of them waits a step, and has it."""
        for sequence in waiting:
            if budget <= 0:
                break
            if sequence.burst not in self._active:
                if full or self._next_name(sequence) in coming:
                    continue
                try:
                    full = not self._admit(sequence)
                except LLMOSError as error:
                    lost.append((sequence, error))
                    continue
                if full:
                    continue  # those that are in already go on
            table = self._active[sequence.burst]
            tokens = sequence.to_prefill
            count = min(len(tokens) - table.length, budget)
            chosen.append((sequence, count))
            coming.update(self._names(table, tokens, table.length + count))
            budget -= count
        return Plan(chosen, lost)

    def _admit(self, sequence: Burst) -> bool:
        """Whether it has its KV, or the room for it. Raises ``EIO``, and ``ENOSPC`` if there is
        nobody whose end could make the room."""
        parked = self._parked.pop(sequence.burst, None)
        table = parked or self._matched(sequence)
        admitted = False
        try:
            room = self._make_room(table.wants - len(table.blocks))
            if room and table.away is not None:
                self._bring_back(table)
            admitted = room
        except ENOSPC:
            if not self._active:
                raise
        finally:
            if admitted:
                self._active[sequence.burst] = table
            elif parked is None:
                self._leave(table)
            else:
                self._parked[sequence.burst] = parked
        return admitted

    def _matched(self, sequence: Burst) -> _Table:
        """With all blocks that are there of what it begins with; one token at least is left to be
        computed, since its logits are wanted."""
        order, tokens = sequence.order, sequence.to_prefill
        total = len(sequence.prompt) + order.sampling.max_tokens
        table = _Table(-(-total // BLOCK), root(order.labels))
        while (table.named + 1) * BLOCK < len(tokens):
            name = self._name_after(table.name, tokens, table.named)
            block = self._blocks.share(name)
            if block is None:
                break
            table.blocks.append(block)
            table.name, table.named = name, table.named + 1
        table.length = table.named * BLOCK
        return table

    def _next_name(self, sequence: Burst) -> bytes | None:
        """Of the first block that it would have to compute, if that is a full one."""
        if sequence.burst in self._parked:
            return None
        tokens, name, number = sequence.to_prefill, root(sequence.order.labels), 0
        while (number + 1) * BLOCK < len(tokens):
            name = self._name_after(name, tokens, number)
            if not self._blocks.has(name):
                return name
            number += 1
        return None

    def _make_room(self, blocks: int) -> bool:
        """Whether so many can be taken beside what the active ones may come to need."""
        blocks += sum(table.wants - len(table.blocks) for table in self._active.values())
        parked = Counter(block for table in self._parked.values() for block in table.blocks)
        freed = self._blocks.freed(parked)
        if self._blocks.room + len(freed) < blocks:
            return False  # it would be in vain
        for table in self._parked.values():
            if self._blocks.room >= blocks:
                break
            if not freed.isdisjoint(table.blocks):
                self._put_away(table)
        return self._blocks.room >= blocks

    # -- one step ----------------------------------------------------------------------------

    def forward(self, decoding: Sequence[Burst], reading: Reading) -> list[torch.Tensor | None]:
        tokens: list[int] = []
        spans: list[Span] = []
        wanted: list[int] = []
        ends: list[bool] = []
        for sequence in decoding:
            tokens.append(sequence.tokens[-1])
            spans.append(self._grown(self._active[sequence.burst], 1))
            wanted.append(len(tokens) - 1)
        for sequence, count in reading:
            table, known = self._active[sequence.burst], sequence.to_prefill
            end = table.length + count
            tokens += known[table.length : end]
            spans.append(self._grown(table, count))
            ends.append(end == len(known))
            if ends[-1]:
                wanted.append(len(tokens) - 1)
        positions = [at for span in spans for at in range(span.start, span.start + span.count)]
        step = Step(self._pool, spans[: len(decoding)], spans[len(decoding) :])
        device = self._pool.device
        logits = self._llama.forward(
            torch.tensor(tokens, device=device),
            torch.tensor(positions, device=device),
            step,
            torch.tensor(wanted, dtype=torch.long, device=device),
        )
        for sequence, span in zip((*decoding, *(one for one, _ in reading)), spans, strict=True):
            self._advance(sequence, span.count)
        rows = iter(logits)
        return [next(rows) for _ in decoding] + [next(rows) if end else None for end in ends]

    def _grown(self, table: _Table, count: int) -> Span:
        """With blocks for so many more tokens."""
        while len(table.blocks) * BLOCK < table.length + count:
            table.blocks.append(self._blocks.take())
        return Span(table.blocks, table.length, count)

    def _advance(self, sequence: Burst, count: int) -> None:
        table = self._active[sequence.burst]
        table.length += count
        if (table.named + 1) * BLOCK > table.length:
            return
        for name in self._names(table, sequence.to_prefill, table.length):
            self._blocks.name(table.blocks[table.named], name)
            table.name, table.named = name, table.named + 1

    def _names(self, table: _Table, tokens: list[int], end: int) -> list[bytes]:
        """Of its blocks that are full by then and have none yet."""
        names, name = [], table.name
        for number in range(table.named, end // BLOCK):
            name = self._name_after(name, tokens, number)
            names.append(name)
        return names

    @staticmethod
    def _name_after(name: bytes, tokens: list[int], number: int) -> bytes:
        return name_of(name, tokens[number * BLOCK : (number + 1) * BLOCK])

    # -- held and over -----------------------------------------------------------------------

    def park(self, sequence: Burst) -> None:
        table = self._active.pop(sequence.burst, None)
        if table is not None:
            self._parked[sequence.burst] = table

    def forget(self, sequence: Burst, *, spoiled: bool = False) -> None:
        table = self._active.pop(sequence.burst, None) or self._parked.pop(sequence.burst, None)
        if table is None:
            return
        if spoiled:
            # Whoever gets these blocks next reads along with weight 0 what he has not written.
            self._pool.clear(self._blocks.disown(table.blocks))
        if table.away is not None:
            self._swap.drop(table.away)
        self._leave(table)

    def _leave(self, table: _Table) -> None:
        for block in reversed(table.blocks):
            self._blocks.leave(block)
        table.blocks, table.length, table.named = [], 0, 0

    def _put_away(self, table: _Table) -> None:
        table.away = self._swap.put(self._pool.copy_out(table.blocks))
        for block in reversed(table.blocks):
            self._blocks.leave(block)
        table.blocks = []

    def _bring_back(self, table: _Table) -> None:
        assert table.away is not None
        content = self._swap.take(table.away)
        table.blocks = [self._blocks.take() for _ in range(content.shape[2])]
        table.away = None
        self._pool.copy_in(table.blocks, content)
