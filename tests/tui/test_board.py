"""Is what is seen of the process table all that should be seen, in order, whatever has changed?"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmagentos.abi.process import ProcessInfo
from shell.tui.board import SORTS, Board
from tests.tui.stage import process

PIDS = st.integers(1, 12)


def row(pid: int, **more: Any) -> ProcessInfo:
    return ProcessInfo.model_validate(process(pid, **more))


def board(*rows: ProcessInfo) -> Board:
    made = Board()
    made.replace(rows)
    return made


def seen(board: Board) -> list[int]:
    return [row.pid for _, row in board.seen()]


def test_is_who_is_missing_in_an_answer_collected() -> None:
    b = board(row(1), row(2), row(3))
    b.marks = {2, 3}
    assert b.update([row(3, state="STOPPED")], asked=[2, 3]) == {2, 3}
    assert seen(b) == [1, 3]
    assert b.targets == [3]
    b.ended = True
    assert seen(b) == [1, 2, 3]
    assert b.find(2) is not None


def test_is_a_row_that_did_not_change_not_told() -> None:
    same = row(2)
    b = board(row(1), same)
    assert b.update([same], asked=[2]) == set()


def test_must_all_words_of_a_filter_be_there() -> None:
    b = board(row(2, name="poet"), row(3, name="poet", state="STOPPED"), row(4, name="critic"))
    for words, pids in (("POET", [2, 3]), ("poet stop", [3]), ("smoll edge", [2, 3, 4]), ("x", [])):
        b.filter = words
        assert seen(b) == pids, words


def test_is_the_family_of_a_process_all_above_it() -> None:
    b = board(row(1, ppid=0), row(2), row(3, ppid=2), row(4, ppid=99))
    assert b.family(3) == [3, 2, 1]
    assert b.family(4) == [4]
    assert b.family(77) == []


def test_are_the_busiest_first() -> None:
    b = board(row(1, state="ZOMBIE"), row(2, state="WAITING"), row(3), row(4, state="READY"))
    b.sort = "state"
    assert seen(b) == [3, 4, 2, 1]
    b.reverse = True
    assert seen(b) == [1, 2, 4, 3]


@given(st.dictionaries(PIDS, PIDS), st.sampled_from(sorted(SORTS)), st.booleans())
def test_has_a_tree_every_process_once_and_children_below_their_parents(
    parents: dict[int, int], sort: str, reverse: bool
) -> None:
    b = board(*(row(pid, ppid=parent) for pid, parent in parents.items()))
    b.sort, b.reverse = sort, reverse
    flat = seen(b)
    assert sorted(flat) == sorted(parents)
    b.tree = True
    tree = list(b.seen())
    # Whoever is his own ancestor has no place in a tree; a kernel has no such processes.
    line: list[int] = []
    for depth, found in tree:
        line = [*line[:depth], found.pid]
        if depth:
            assert found.ppid == line[depth - 1]
    assert {found.pid for _, found in tree} == {p for p in parents if not _in_a_circle(p, parents)}


def _in_a_circle(pid: int, parents: dict[int, int]) -> bool:
    line = [pid]
    while (parent := parents.get(line[-1])) in parents and parent != line[-1]:
        if parent in line:
            return True
        line.append(parent)
    return False


@given(st.lists(st.tuples(st.sets(PIDS), st.sets(PIDS))))
def test_is_the_board_what_the_last_answers_say(steps: list[tuple[set[int], set[int]]]) -> None:
    b, truth = board(), set[int]()
    for asked, there in steps:
        b.update([row(pid) for pid in sorted(asked & there)], asked)
        truth = (truth - asked) | (asked & there)
        assert b.rows.keys() == truth
        assert not truth & (b.past.keys() - truth - b.past.keys())
