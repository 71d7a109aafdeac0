"""The paged runner: sequences in the blocks of one pool.

A sequence begins with the blocks that are there already, in the pool or in the archive, of what it
begins with. It takes more as it grows, and is let in only when all that it may come to need is
free: so no sequence ever has to be thrown out in the middle of its answer. One that is held is a
resident, and so is what a process has read once its burst is over. It knows nothing about how the
model computes, nor about how a token is chosen.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

import torch

from drivers.edge.archive import Archive
from drivers.edge.attention import Span, Step
from drivers.edge.blocks import BLOCK, Blocks
from drivers.edge.llama import Llama
from drivers.edge.memory import Ceiling
from drivers.edge.pool import Pool
from drivers.edge.recall import Found, Recall
from drivers.edge.residents import Owner, Resident, Residents
from drivers.edge.runner import Logits, Plan, Reading, in_rows, share, topped_up
from drivers.edge.sequence import Sequence as Burst
from drivers.edge.table import Table
from drivers.edge.warming import warm
from drivers.edge.worth import Worth
from llmagentos.abi.errors import ENOSPC, LLMOSError


class PagedRunner:
    """``kv_bytes``: the most that the pool may take."""

    def __init__(self, llama: Llama, kv_bytes: int, archive: Archive) -> None:
        self._llama = llama
        count = max(1, kv_bytes // llama.shape.block_bytes(llama.dtype))
        self._blocks = Blocks(count)
        self._pool = Pool(llama.shape, count, llama.dtype, llama.device)
        self._archive = archive
        self._worth = Worth()
        self._residents = Residents(self._blocks, self._pool, archive, self._worth)
        self._recall = Recall(self._blocks, self._pool, archive, self._worth)
        self._waiting: dict[int, Table] = {}
        """Those that are not in: they have no blocks of their own, but may be residents."""
        self._active: dict[int, Table] = {}
        self._pids: dict[int, int] = {}
        self._ceiling: Ceiling | None = None

    def warm_up(self, slots: int, chunk: int, context: int) -> int | None:
        warm(self._llama, self._pool, slots, chunk, min(context, self.most))
        if self._pool.device.type == "cpu":
            self._ceiling = Ceiling(self._blocks.count * self._pool.block_bytes)
        return None if self._ceiling is None else self._ceiling.most

    @property
    def kv_bytes(self) -> int:
        return self._blocks.held * self._pool.block_bytes

    @property
    def most(self) -> int:
        return self._blocks.count * BLOCK

    def kv(self) -> dict[int, int]:
        held: dict[int, set[int]] = defaultdict(set)
        for burst, table in self._active.items():
            held[self._pids[burst]].update(table.blocks)
        for resident in self._residents:
            kind, number = resident.owner
            held[number if kind == "process" else self._pids[number]].update(resident.blocks)
        return {pid: len(blocks) * self._pool.block_bytes for pid, blocks in held.items()}

    # -- who is let in -----------------------------------------------------------------------

    def plan(self, waiting: Iterable[Burst], budget: int) -> Plan:
        chosen: list[tuple[Burst, int]] = []
        ready: list[Burst] = []
        refused: tuple[Burst, LLMOSError] | None = None
        full = False
        coming: set[bytes] = set()
        """Blocks that this step computes: who begins with one of them waits a step, and has it."""
        for sequence in waiting:
            if budget <= 0 and not self._goes_on(sequence):
                continue
            if sequence.burst not in self._active:
                if full and not (refused and self._residents.has(("burst", sequence.burst))):
                    continue  # those that are in already go on
                if self._first_missing(sequence) in coming:
                    continue
                try:
                    admitted = self._admit(sequence)
                except ENOSPC as error:
                    # Nobody runs whose end could make the room. But one that is held has what it
                    # needs, perhaps: he goes on, and makes room by that.
                    refused = refused or (sequence, error)
                    admitted = False
                if not admitted:
                    full = True
                    continue
            table, unread = self._active[sequence.burst], self._unread(sequence)
            if unread == 1 and sequence.tokens:
                ready.append(sequence)
                continue
            if budget <= 0:
                continue
            count = share(unread, budget)
            chosen.append((sequence, count))
            coming.update(table.names(table.full, (table.length + count) // BLOCK))
            budget -= count
        lost = [refused] if refused is not None and not self._active else []
        return Plan(topped_up(chosen, self._unread, budget), ready, lost)

    def _unread(self, sequence: Burst) -> int:
        return len(sequence.to_prefill) - self._active[sequence.burst].length

    def _goes_on(self, sequence: Burst) -> bool:
        """Whether it was held in its answer: then it has all its KV, as a rule, and need not wait
        for the prompts of others."""
        table = self._waiting.get(sequence.burst)
        begun = sequence.burst in self._active or (table is not None and table.had > 0)
        return begun and bool(sequence.tokens)

    def _admit(self, sequence: Burst) -> bool:
        """Whether it has its KV, or the room for it. Raises ``ENOSPC`` if there is nobody whose
        end could make the room."""
        burst, tokens = sequence.burst, sequence.to_prefill
        resident = self._residents.take(("burst", burst))
        table = self._waiting[burst]
        found: Found = []
        if resident is not None:
            table.blocks, table.length = resident.blocks, resident.length
        else:
            found = self._recall.find(table, tokens)
            table.blocks = [block for block in found if block is not None]
            # They must not be given up while room is made for others.
            archived = self._recall.archived(table, found)
            self._archive.claim(("burst", burst), archived, firm=True)
        admitted = False
        try:
            admitted = self._make_room(table.missing)
            if admitted and resident is None:
                self._recall.bring(table, found, tokens)
                # It may have less than was found, if the disk has failed.
                admitted = self._make_room(table.missing)
        except ENOSPC:
            if not self._active:
                raise
        finally:
            if not admitted:
                self._turn_away(table, resident)
                if not table.had:
                    self._archive.release(("burst", burst))
        if admitted:
            self._archive.release(("burst", burst))
            # What others have read since then is found, too.
            sequence.cached += max(0, table.length - table.had)
            self._active[burst] = self._waiting.pop(burst)
        return admitted

    def _turn_away(self, table: Table, resident: Resident | None) -> None:
        if resident is not None:
            self._residents.add(resident)
        else:
            self._recall.leave(table.blocks)
        table.blocks, table.length = [], 0

    def _first_missing(self, sequence: Burst) -> bytes | None:
        """The first block that it would have to compute, if that is a full one. From now on it is
        known here."""
        tokens = sequence.to_prefill
        table = self._waiting.get(sequence.burst)
        if table is None:
            total = len(sequence.to_prefill) + sequence.left
            table = self._waiting[sequence.burst] = Table(sequence.order.labels, -(-total // BLOCK))
            self._pids[sequence.burst] = sequence.order.pid
        table.know(tokens)
        return self._recall.missing(table, tokens)

    def _make_room(self, blocks: int) -> bool:
        """Whether so many can be taken beside what the active ones may come to need."""
        return self._residents.make_room(
            blocks + sum(table.missing for table in self._active.values())
        )

    # -- one step ----------------------------------------------------------------------------

    def forward(self, decoding: Sequence[Burst], reading: Reading) -> list[Logits | None]:
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
        numbers = partial(torch.tensor, dtype=torch.long, device=self._pool.device)
        logits = self._llama.forward(numbers(tokens), numbers(positions), step, numbers(wanted))
        # First whatever may fail: who is computed again then has not moved on.
        rows = iter(in_rows(logits))
        for sequence, span in zip((*decoding, *(one for one, _ in reading)), spans, strict=True):
            self._advance(sequence, span.count)
        return [next(rows) for _ in decoding] + [next(rows) if end else None for end in ends]

    def spent(self, made: int, read: int, seconds: float) -> None:
        if read:
            self._worth.computed(made + read, seconds)
        if self._ceiling is not None:
            self._ceiling.hold(self._pool.resident(self._blocks.touched))

    def _grown(self, table: Table, count: int) -> Span:
        """With blocks for so many more tokens."""
        while len(table.blocks) * BLOCK < table.length + count:
            table.blocks.append(self._blocks.take())
        return Span(table.blocks, table.length, count)

    def _advance(self, sequence: Burst, count: int) -> None:
        table = self._active[sequence.burst]
        before, table.length = table.full, table.length + count
        if table.full > before:
            table.know(sequence.to_prefill)
            for number in range(before, table.full):
                self._blocks.name(table.blocks[number], table.name(number))

    # -- held and over -----------------------------------------------------------------------

    def park(self, sequence: Burst) -> None:
        table = self._active.pop(sequence.burst, None)
        if table is None:
            return
        self._waiting[sequence.burst] = table
        self._reside(("burst", sequence.burst), table, sequence, back=time.monotonic())

    def rest(self, sequence: Burst) -> None:
        table = self._active.pop(sequence.burst, None)
        pid = self._pids.pop(sequence.burst, None)
        if table is not None and pid is not None:
            self._residents.remove(("process", pid))
            self._reside(("process", pid), table, sequence)

    def forget(self, sequence: Burst, *, spoiled: bool = False) -> None:
        burst = sequence.burst
        self._pids.pop(burst, None)
        resident = self._residents.take(("burst", burst))
        self._residents.remove(("burst", burst))
        table = self._active.pop(burst, None) or self._waiting.pop(burst, None)
        if table is None:
            return
        blocks = resident.blocks if resident is not None else table.blocks
        if spoiled:
            # Whoever gets these blocks next reads along with weight 0 what he has not written.
            self._pool.clear(self._blocks.disown(blocks))
        self._recall.leave(blocks)

    def snapshot(self, sequence: Burst) -> None:
        self._residents.snapshot(("burst", sequence.burst))

    def expect(self, pid: int, seconds: float | None) -> None:
        self._residents.expect(("process", pid), seconds)

    def fork(self, pid: int, child: int) -> None:
        self._residents.fork(("process", pid), ("process", child))

    def drop(self, pid: int) -> None:
        self._residents.remove(("process", pid))

    def clear(self) -> None:
        self._residents.remove_processes()

    def _reside(self, owner: Owner, table: Table, sequence: Burst, **more: float) -> None:
        tokens = sequence.to_prefill
        table.know(tokens)
        names = table.names(0, table.full)
        if table.length % BLOCK:
            names.append(table.tail(tokens, table.length))
        # It may have taken a block for a token that was not computed.
        self._recall.leave(table.blocks[len(names) :])
        blocks = table.blocks[: len(names)]
        self._residents.add(Resident(owner, blocks, names, table.length, **more))
        table.blocks, table.length, table.had = [], 0, table.length
