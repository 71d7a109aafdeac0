"""Do tables fit the screen, and tell of every process what there is to tell?"""

from __future__ import annotations

import time

import pytest

from llmagentos.abi.calls.drv import DriverInfo
from llmagentos.abi.process import ErrorRecord, ExitRecord, ProcessDetail, ProcessInfo, Usage
from shell.commands.info import lines_of
from shell.engines import driver_table, load_line
from shell.processes import process_table
from shell.table import render
from shell.terminal import counted, duration, printable, size
from shell.tui.board import Board
from shell.tui.facts import history


def _process(pid: int, ppid: int = 1, name: str = "echo", **more: object) -> ProcessInfo:
    fields = {"state": "RUNNING", "started": time.time() - 5, **more}
    return ProcessInfo(pid=pid, ppid=ppid, name=name, kind="agent", **fields)  # type: ignore[arg-type]


LONG = _process(
    1234567,
    name="a-name-of-an-agent-that-is-rather-long",
    model="some-organisation/some-model-with-a-long-name-instruct",
    driver="edge",
    usage=Usage(prompt_tokens=123456, completion_tokens=1000, decode_seconds=20.0),
    context_tokens=4000,
)


@pytest.mark.parametrize("room", [40, 60, 80, 100, 200])
def test_is_no_line_wider_than_the_screen(room: int) -> None:
    lines = process_table([_process(1), LONG], room=room).splitlines()
    assert max(map(len, lines)) <= room
    assert lines[0].split()[0] == "PID"
    assert "NAME" in lines[0]
    assert "STATE" in lines[0]
    assert "1234567" in lines[2]


def test_is_nothing_cut_where_there_is_room() -> None:
    head, row = process_table([LONG], room=300).splitlines()
    assert head.split() == [
        "PID", "PPID", "NAME", "STATE", "MODEL@DRIVER", "IN", "OUT", "TOK/S", "CONTEXT", "AGE",
        "EXIT",
    ]  # fmt: skip
    assert f"{LONG.name} " in row
    assert f"{LONG.model}@edge" in row
    assert " 50.0 " in row


def test_are_children_under_their_parents() -> None:
    rows = [_process(1, 0, "init"), _process(2), _process(3), _process(4, 2), _process(5, 4)]
    names = [line.split()[0] for line in process_table(rows, tree=True, room=200).splitlines()]
    assert names == ["PID", "1", "2", "4", "5", "3"]


def test_does_a_tree_survive_missing_parents_and_great_depth() -> None:
    chain = [_process(pid, pid - 1) for pid in range(7, 3000)]
    assert len(process_table(chain, tree=True, room=200).splitlines()) == len(chain) + 1


def test_is_the_reason_and_the_end_told() -> None:
    record = ExitRecord(
        pid=3, name="x", code=4, error=ErrorRecord(code="EQUOTA", message="no"),
        started=1.0, ended=2.0,
    )  # fmt: skip
    table = process_table(
        [
            _process(2, state="WAITING", reason="driver"),
            _process(3, state="ZOMBIE", exit=record, started=1.0, ended=2.0),
            _process(4, state="ZOMBIE", exit=record.model_copy(update={"signal": "KILL"})),
        ],
        room=200,
    )
    waiting, failed, killed = table.splitlines()[1:]
    assert "WAITING(driver)" in waiting
    assert failed.split()[-2:] == ["1.0s", "4"]
    assert killed.split()[-1] == "KILL"


def test_is_there_one_word_for_all_that_have_ended() -> None:
    record = ExitRecord(pid=3, name="x", code=0, started=1.0, ended=2.0)
    ended = _process(3, state="ZOMBIE", exit=record)
    rows = process_table([_process(2), ended], room=200).splitlines()[1:]
    assert [row.split()[3] for row in rows] == ["RUNNING", "ENDED"]
    steps = [{"time": 1.0, "from": "READY", "to": "ZOMBIE", "why": "exit 0"}]
    detail = ProcessDetail(process=ended, history=steps)
    for told in ("\n".join(lines_of(detail)), history(detail, str.lower).plain):
        assert "→ ENDED" in told
        assert "ZOMBIE" not in told
    board = Board(filter="ended")
    board.replace([_process(2), ended])
    assert [row.pid for _, row in board.seen()] == [3]


def test_is_one_no_plural() -> None:
    told = [counted(number, "process", "processes") for number in (0, 1, 2)]
    assert told == ["0 processes", "1 process", "2 processes"]


def test_is_a_driver_that_loads_shown_with_its_progress() -> None:
    loading = DriverInfo(
        name="edge", kind="edge", state="loading", note="download", progress=0.42,
        slots=8, running=0,
    )  # fmt: skip
    ready = DriverInfo(
        name="fast", kind="edge", state="ready", slots=8, running=3, tokens_per_second=41.25
    )
    host = DriverInfo(name="host", kind="host", state="ready", slots=256, running=3)
    assert "loading 42%" in driver_table([loading, ready, host], room=200)
    line = load_line([loading, ready, host], 5)
    assert line == "edge loading 42%: download · fast 3/8 slots 41.2 tok/s · 5 queued"


def test_does_an_empty_table_show_its_columns() -> None:
    assert render([], ["A", "B"], room=80).split() == ["A", "B"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0.0s"), (0.04, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m00s"),
     (3599.4, "59m59s"), (7500, "2h05m"), (90000, "1d01h")],
)  # fmt: skip
def test_is_a_duration_short(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_are_sizes_and_control_characters_tamed() -> None:
    assert [size(n) for n in (5, 98_400_000, 5e15)] == ["5 B", "98.4 MB", "5000.0 TB"]
    assert printable("a\x1b[2Jb\tc\r\nd\x9b\x7f") == "a[2Jb\tc\nd"
