"""What does the store say when the state can't be read or written, and what is left then?"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kernel.config import StoreFailed
from kernel.effects import Put
from kernel.store import Store
from llmagentos.abi.errors import EIO, ENOSPC


def test_is_a_state_that_is_open_elsewhere_not_to_be_moved_away(tmp_path: Path) -> None:
    """Whoever did that would lose what the other program has not written yet, and all the rest."""
    path = tmp_path / "state.db"
    Store(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EIO, match="locked") as caught:
            Store(path)
        assert caught.value.hint == "another program has it open; end that, then start again"
    Store(path).close()


def _junk(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def _damaged(path: Path) -> None:
    Store(path).close()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3000)


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("what", "hint"), [(_junk, "a backup"), (_damaged, "a backup"), (_folder, "look at its disk")]
)
def test_is_it_told_what_can_be_done(
    tmp_path: Path, what: Callable[[Path], None], hint: str
) -> None:
    path = tmp_path / "state.db"
    what(path)
    with pytest.raises(EIO) as caught:
        Store(path).load()
    assert hint in caught.value.hint
    assert str(path) in caught.value.message


def test_is_nothing_of_a_turn_kept_that_did_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(Store(path)) as store:
        store.commit([Put("meta", {"key": "before", "value": 1})], [])
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        store.files.keep("a small one", b"small")
        rows = [Put("meta", {"key": key, "value": 1}) for key in ("after", "much " * 20_000)]
        with pytest.raises(StoreFailed) as caught:
            store.commit(rows, [])
        assert isinstance(caught.value.error, ENOSPC)
    with closing(Store(path)) as store:
        kept = store._connection.execute("SELECT key FROM meta").fetchall()
        assert ("before",) in kept
        assert ("after",) not in kept
        assert store._connection.execute("SELECT count(*) FROM contents").fetchone() == (0,)
