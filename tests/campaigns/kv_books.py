"""The books of KV: does every block and every file of a runner belong to exactly those who say so?

It knows nothing about how blocks came to where they are, nor about what is in them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain

from drivers.edge.blocks import BLOCK
from drivers.edge.paged import PagedRunner


def unbalanced(runner: PagedRunner, bursts: Collection[int], pids: Collection[int]) -> list[str]:
    """What is wrong. ``bursts``: those that live; ``pids``: of processes that may come back."""
    return [*chain(_blocks(runner), _bytes(runner), _archive(runner, bursts, pids))]


def _blocks(runner: PagedRunner) -> Iterator[str]:
    """Each is somebody's, idle under a name, or free; and is counted as often as it is had."""
    blocks = runner._blocks
    had: Counter[int] = Counter()
    for table in runner._active.values():
        had.update(table.blocks)
        if not 0 <= len(table.blocks) * BLOCK - table.length < 2 * BLOCK:
            yield f"{len(table.blocks)} blocks for {table.length} tokens"
        if len(table.blocks) > table.wants:
            yield "an active one has more blocks than it was let in with"
    for resident in runner._residents:
        had.update(resident.blocks)
        if not len(resident.names) == len(resident.blocks) == -(-resident.length // BLOCK):
            yield "a resident with more or fewer names than blocks"
    if any(table.blocks or table.length for table in runner._waiting.values()):
        yield "one that waits has blocks"
    if sum(table.missing for table in runner._active.values()) > blocks.room:
        yield "not all that the active ones may come to need is there"
    free = set(blocks._free)
    for block in range(blocks.touched):
        if blocks._refs[block] != had[block]:
            yield f"a block is had {had[block]} times, and counted {blocks._refs[block]} times"
        places = [had[block] > 0, block in free, block in blocks._idle]
        if sum(places) != 1:
            yield f"a block is in {sum(places)} places"
        if (block in free and block in blocks._names) or (
            block in blocks._idle and block not in blocks._names
        ):
            yield "a free block has a name, or an idle one has none"
    if {name: block for block, name in blocks._names.items()} != blocks._by_name:
        yield "names and blocks do not fit"


def _bytes(runner: PagedRunner) -> Iterator[str]:
    """What each process is said to have, and all of them together."""
    size, theirs = runner._pool.block_bytes, dict[int, set[int]]()
    for burst, table in runner._active.items():
        theirs.setdefault(runner._pids[burst], set()).update(table.blocks)
    for resident in runner._residents:
        kind, number = resident.owner
        pid = runner._pids[number] if kind == "burst" else number
        theirs.setdefault(pid, set()).update(resident.blocks)
    if runner.kv() != {pid: len(some) * size for pid, some in theirs.items()}:
        yield "the bytes of a process are not those of its blocks"
    if runner.kv_bytes != len(set().union(*theirs.values())) * size:
        yield "the bytes of all are not those of the blocks that somebody has"


def _archive(runner: PagedRunner, bursts: Collection[int], pids: Collection[int]) -> Iterator[str]:
    """What is on the disk is what is known to be there, within its room, for those who live."""
    archive = runner._archive
    there = set(archive._folder.glob("*")) if archive._folder else set()
    if there != {file.path for file in archive._files}:
        yield "files that nobody knows, or that are not there"
    if archive.bytes != sum(file.size for file in archive._files):
        yield "the bytes on the disk are miscounted"
    if any(file not in archive._files for file, _ in archive._places.values()):
        yield "a block in a file that is gone"
    said = {(who, file) for who, files in archive._claims.items() for file in files}
    if said != {(who, file) for file in archive._files for who in file.claimants}:
        yield "claims that only one side knows"
    if any(not file.claimants and file.written == math.inf for file in archive._files):
        yield "a file of our own that nobody claims"
    owners = {who for who, _ in said} | {resident.owner for resident in runner._residents}
    alive = {*(("burst", burst) for burst in bursts), *(("process", pid) for pid in pids)}
    if lost := owners - alive:
        yield f"KV of a {min(lost)[0]} that does not live"
