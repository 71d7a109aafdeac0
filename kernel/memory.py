"""Memory: rows that processes remember beyond their contexts, in spaces of their own and in
shared ones. On whose quota a row is, how long it lives, and what becomes of it when its owner is
collected.

It knows nothing about how the rows are kept and searched, nor about who may see them.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kernel import holdings
from kernel.calls import DEFERRED, Call, Deferred
from kernel.fusion import fused
from kernel.holdings import Amounts
from kernel.memory_store import OWN_SPACES, Brief, Found, Head, Match, Row
from kernel.process import Process
from kernel.row_text import row_text
from kernel.snippets import snippet
from kernel.sweep import Sweep
from llmagentos.abi.calls.mem import MAX_VALUE, MAX_WORDS
from llmagentos.abi.errors import EINVAL, EQUOTA
from llmagentos.abi.wire import MAX_BODY, MAX_VALUES

if TYPE_CHECKING:
    from kernel.machine import Machine

_OVERHEAD: Final = 64
"""Bytes that a row takes beside its key and its value."""

_EXPIRED_AT_ONCE: Final = 500
_INDEXED_AT_ONCE: Final = 500
_TIDIED_AT_ONCE: Final = 64
"""Rows in one turn of the loop, fewer if they are large: nobody else shall wait for them."""

_RANKED: Final = 100
"""Rows that are looked at for each way in which they are found: as many as a search may want."""

_PARTS: Final = 2 * MAX_VALUES
"""Values in the rows that one search gives, about: everybody waits while they are written."""

_PAUSE: Final = 0.05
_LEISURE: Final = 0.25
_HURRY: Final = 0.001
"""Seconds until more is deleted, until more is tidied, and until then if somebody waits for it."""

_EXPIRY: Final = ("memory", "expiry")
_TIDY: Final = ("memory", "tidy")
_SWEEP: Final = ("memory", "sweep")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def own_space(process: Process) -> str:
    return f"{OWN_SPACES}{process.pid}"


class Memory:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._store = kernel.services.memory
        # What was to be done before a boot is taken up in its first turn.
        self._due: float | None = 0.0
        self._searches: dict[Call, Callable[[], None]] = {}
        self._sweeps: dict[Call, Callable[[], None]] = {}
        """Whose turn is next, first."""
        kernel.timers.set(_EXPIRY, 0.0, self._expire)
        kernel.timers.set(_TIDY, 0.0, self._tidy)

    def put(
        self, space: str, owner: Process, key: str, value: Any, labels: str, ttl: float | None
    ) -> tuple[bool, int]:
        """Whether the row is a new one, and the bytes that it takes. Raises ``EQUOTA``; then
        nothing has changed."""
        kernel, now = self._kernel, self._kernel.now
        if self._due is not None and self._due <= now:
            self._expire()  # what has expired takes nobody's room
        text = _encode(value)
        size = len(text) if text.isascii() else len(text.encode())
        if size > MAX_VALUE:
            raise EQUOTA(
                f"the value takes {size:,} bytes as JSON; the most is {MAX_VALUE:,}",
                hint="keep it as a file (fs.write), or in parts",
            )
        size += _OVERHEAD + (len(key) if key.isascii() else len(key.encode()))
        old = self._store.head(space, key)
        if old is None:
            holdings.take(owner, _held(1, size))
        elif old.owner == owner.pid:
            holdings.take(owner, _held(0, size - old.bytes))
        else:
            holdings.replace(kernel, owner, _held(1, size), [(old.owner, _held(1, old.bytes))])
        fresh = old is None or _has_expired(old, now)
        created = now if old is None or fresh else old.created
        expires = None if ttl is None else now + ttl
        row = Row(key, text, labels, owner.pid, created, now, expires, size)
        self._store.put(space, row, old)
        if old is not None:
            kernel.vectors.changed(old.id)
        kernel.vectors.added()
        if expires is not None and (self._due is None or expires < self._due):
            self._expire_at(expires)
        self._tidy_soon()
        return fresh, size

    def delete(self, space: str, key: str) -> bool:
        """Whether there was such a row."""
        old = self._store.head(space, key)
        if old is None:
            return False
        self._store.delete(old)
        self._kernel.vectors.changed(old.id)
        holdings.give_back(self._kernel, old.owner, _held(1, old.bytes))
        self._tidy_soon()
        return not _has_expired(old, self._kernel.now)

    def get(self, space: str, key: str) -> Row | None:
        return self._store.row(space, key, self._kernel.now)

    def page(self, space: str, prefix: str, after: str, limit: int) -> list[Brief]:
        return self._store.page(space, prefix, after, self._kernel.now, limit)

    def words(self, query: str) -> list[str]:
        """What a search by words looks for. Raises ``EINVAL`` for a query without a word, or with
        too many."""
        words = _words(query)
        if not words:
            raise EINVAL("there is no word in the query", hint="give some letters or digits")
        if len(words) > MAX_WORDS:
            raise EINVAL(
                f"the query has {len(words)} words; the most is {MAX_WORDS}",
                hint="a few are better; a search by meaning takes any number",
            )
        return words

    def sweep(self, space: str, query: str, *kinds: bool) -> Sweep | None:
        """A search by words. ``kinds``: as for ``Sweep``. None: too much was put of late that is
        not indexed yet. Raises as ``words`` does."""
        words = self.words(query)
        if self._store.index(_INDEXED_AT_ONCE):
            return None
        return Sweep(self._store, space, words, kinds)

    def nearest(self, space: str, kind: str, vector: bytes, limit: int) -> list[Match]:
        """Rows by their meaning: ``vector`` is the query's."""
        return self._store.nearest(space, kind, vector, self._kernel.now, limit)

    def by_words(self, sweep: Sweep, limit: int) -> list[Match]:
        """What a sweep has found that is over: the rows with all the words."""
        return sweep.found(True, self._kernel.now, limit)

    def by_both(
        self, space: str, sweep: Sweep, kind: str, vector: bytes, limit: int
    ) -> list[Match]:
        """The same, and what has some of the words, ranked together with rows by their meaning."""
        now, store = self._kernel.now, self._store
        every, some = (sweep.found(kind, now, _RANKED) for kind in (True, False))
        near = store.nearest(space, kind, vector, now, _RANKED)
        keys = [found.key for found in (*every, *some)]
        cosines = store.cosines(space, kind, vector, keys) if keys else {}
        return fused(every, some, near, cosines, limit)

    def read(self, space: str, query: str, matches: list[Match]) -> list[Found]:
        """The rows themselves. Raises ``EQUOTA`` for more than fits into a reply."""
        size = sum(match.bytes for match in matches)
        if size > MAX_BODY:
            raise _too_much(matches, f"{size:,} bytes; the most is {MAX_BODY:,}")
        words, parts = _words(query), 0
        found: list[Found] = []
        for match in matches:
            row = self._store.row(space, match.key, self._kernel.now)
            if row is None:
                continue
            if row.value[0] != '"':
                parts += sum(map(row.value.count, ",[{"))
            if parts > _PARTS and found:
                raise _too_much(matches, f"more than {_PARTS:,} values together")
            text = snippet(row_text(row.key, row.value), words)
            found.append(Found(row=row, score=match.score, snippet=text))
        return found

    def when_indexed(self, call: Call, again: Callable[[], None]) -> Deferred:
        """Go on with the call when all is indexed. Until then the kernel does other work, too."""
        self._searches[call] = again
        call.on_close = partial(self._search_gone, call)
        self._kernel.timers.set(_TIDY, self._kernel.now + _HURRY, self._tidy)
        return DEFERRED

    def _search_gone(self, call: Call) -> None:
        self._searches.pop(call, None)
        self._sweeps.pop(call, None)

    @property
    def sweeps(self) -> bool:
        """Whether somebody waits for more of a sweep already."""
        return bool(self._sweeps)

    def when_rested(self, call: Call, again: Callable[[], None]) -> Deferred:
        """Go on with the call's sweep when others have had their turn."""
        self._sweeps[call] = again
        call.on_close = partial(self._search_gone, call)
        self._kernel.timers.set_once(_SWEEP, self._kernel.now + _HURRY, self._sweep_on)
        return DEFERRED

    def _sweep_on(self) -> None:
        call = next(iter(self._sweeps), None)
        if call is not None:
            again = self._sweeps.pop(call)
            call.on_close = None
            again()
        if self._sweeps:
            self._kernel.timers.set_once(_SWEEP, self._kernel.now + _HURRY, self._sweep_on)

    def forget(self, process: Process) -> None:
        """It was collected: its own space goes. What it has in shared ones passes to its heir."""
        rows, size = self._store.drop(own_space(process))
        if rows:
            holdings.give_back(self._kernel, process.pid, _held(rows, size))
            self._tidy_soon()
        heir = holdings.heir(self._kernel, process)
        left = self._store.bequeath(process.pid, heir.pid)
        holdings.pass_on(process, heir, _held(*left))

    # -- what happens by itself --------------------------------------------------------------

    def _expire(self) -> None:
        """Delete what has expired; the rest of it, and what will, when its time comes."""
        now = self._kernel.now
        gone = self._store.expire(now, _EXPIRED_AT_ONCE)
        for owner, size in gone:
            holdings.give_back(self._kernel, owner, _held(1, size))
        if gone:
            self._tidy_soon()
        self._due = None
        due = self._store.next_expiry()
        if due is not None:
            self._expire_at(max(due, now + _PAUSE))

    def _expire_at(self, moment: float) -> None:
        self._due = moment
        self._kernel.timers.set(_EXPIRY, moment, self._expire)

    def _tidy(self) -> None:
        if self._searches and self._store.index(_INDEXED_AT_ONCE):
            self._kernel.timers.set(_TIDY, self._kernel.now + _HURRY, self._tidy)
        elif self._searches or self._store.tidy(_TIDIED_AT_ONCE):
            self._tidy_soon()
            for call, again in list(self._searches.items()):
                del self._searches[call]
                call.on_close = None
                again()

    def _tidy_soon(self) -> None:
        self._kernel.timers.set_once(_TIDY, self._kernel.now + _LEISURE, self._tidy)


def _too_much(matches: list[Match], what: str) -> EQUOTA:
    return EQUOTA(
        f"the {len(matches)} rows that were found take {what}",
        hint="give a smaller limit, or read them one by one",
    )


def _held(rows: int, size: int) -> Amounts:
    return (("memory_rows", rows), ("memory_bytes", size))


def _has_expired(row: Head, now: float) -> bool:
    return row.expires is not None and row.expires <= now


def _words(query: str) -> list[str]:
    """The words of a query, each once. Whatever is neither letter nor digit parts them, so that
    none of it can be taken for the syntax of a search engine."""
    apart = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in query)
    words = (word for word in apart.split() if any(map(str.isalnum, word)))
    return list(dict.fromkeys(words))
