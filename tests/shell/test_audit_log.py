"""Does ``llmos audit verify`` see every change of the log, at its ends too?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from llmagentos.abi.audit import CUT, GENESIS, chain_hash, cut_detail
from shell.cli import main
from shell.commands import audit

LENGTH = 2500


def _chain(numbers: Sequence[int], cut: int = 0) -> list[dict[str, Any]]:
    """``cut``: the last of the entries says that those up to this one were let go."""
    entries: list[dict[str, Any]] = []
    previous = GENESIS
    for seq in numbers:
        action, detail = "proc.kill", ""
        if cut and seq == numbers[-1]:
            action, detail = CUT, cut_detail(cut, entries[cut - 1]["hash"])
        hashed = chain_hash(previous, seq, 1.0, 1, action, "denied", detail)
        entries.append({
            "seq": seq, "time": 1.0, "pid": 1, "action": action, "verdict": "denied",
            "detail": detail, "previous": previous, "hash": hashed,
        })  # fmt: skip
        previous = hashed
    return entries


class _System:
    """A kernel with this log."""

    def __init__(self, entries: list[dict[str, Any]], latest: int) -> None:
        self._entries = entries
        self._latest = latest

    def __enter__(self) -> _System:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def call(self, name: str, *, since: int, limit: int) -> dict[str, Any]:
        after = [entry for entry in self._entries if entry["seq"] > since]
        return {"entries": after[:limit], "latest": self._latest}


WHOLE = _chain(range(1, LENGTH + 1))
SHORT = _chain(range(1, LENGTH + 1), cut=1200)


@pytest.mark.parametrize(
    ("entries", "latest", "broken"),
    [
        (WHOLE, LENGTH, None),
        ([], 0, None),
        (WHOLE[:-1], LENGTH, LENGTH),
        (WHOLE[:1000], LENGTH, 1001),
        (WHOLE, LENGTH - 1, LENGTH),
        ([], LENGTH, 1),
        (WHOLE[1:], LENGTH, 1),
        (SHORT[1200:], LENGTH, None),
        (SHORT[1199:], LENGTH, 1),
        (SHORT[1201:], LENGTH, 1),
        (SHORT[1200:-1], LENGTH - 1, 1),
        ([*SHORT[1200:1300], *SHORT[1301:]], LENGTH, 1302),
        (_chain(range(5, 9)), 8, 1),
        ([*WHOLE[:9], *WHOLE[10:]], LENGTH, 11),
    ],
    ids=[
        "whole",
        "none yet",
        "last one",
        "end",
        "added",
        "all",
        "first",
        "let go",
        "not all let go",
        "more than that",
        "let go unsaid",
        "middle after that",
        "forged",
        "middle",
    ],
)
def test_is_what_is_missing_found(
    entries: list[dict[str, Any]],
    latest: int,
    broken: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "open_system", lambda: _System(entries, latest))
    status = main(["audit", "verify"])
    told = capsys.readouterr()
    if broken is None:
        holds = f"the audit log holds: {len(entries)} entries, none changed\n"
        assert (status, told.out) == (0, holds)
    else:
        assert status == 1
        assert f"entry {broken} " in told.err


def _told(*rows: tuple[int, str, str]) -> list[dict[str, Any]]:
    facts = {"time": 1.0, "action": "tool.call", "previous": "", "hash": ""}
    return [
        {"seq": seq, "pid": pid, "verdict": verdict, "detail": detail, **facts}
        for seq, (pid, verdict, detail) in enumerate(rows, start=1)
    ]


LISTED = _told((7, "begun", "job 1"), (7, "denied", "file: a\u202e\nb"), (8, "denied", "mount"))


@pytest.mark.parametrize(
    ("words", "seqs"),
    [
        ((), [1, 2, 3]),
        (("--pid", "7"), [1, 2]),
        (("--verdict", "denied"), [2, 3]),
        (("--pid", "7", "--verdict", "denied"), [2]),
        (("--last", "1"), [3]),
        (("--pid", "9"), []),
    ],
)
def test_does_the_list_show_what_was_asked_for(
    words: tuple[str, ...],
    seqs: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "open_system", lambda: _System(LISTED, 3))
    assert main(["audit", "list", *words]) == 0
    shown = capsys.readouterr()
    assert [int(line.split()[0]) for line in shown.out.splitlines()] == seqs
    assert main(["audit", "list", *words, "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["entries"] == [LISTED[seq - 1] for seq in seqs]
    older = "llmos: 2 older entries were not looked at\nhint: llmos audit list --last 3\n"
    assert shown.err == told.err == (older if words == ("--last", "1") else "")


def test_is_an_entry_one_line_and_all_of_it_visible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "open_system", lambda: _System(LISTED, 3))
    main(["audit", "list", "--verdict", "denied"])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert "file: a\\u202e\\nb" in out
