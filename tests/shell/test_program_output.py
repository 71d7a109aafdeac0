"""Is what a program writes shown as it wrote it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from llmagentos.home import Home
from shell.commands.logs import _Output


def test_is_a_letter_whole_that_was_looked_at_in_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMOS_HOME", str(tmp_path))
    log = Home.default().program_log(7)
    log.parent.mkdir(parents=True)
    output, words = _Output(7), "größer\n".encode()
    for end in range(len(words) + 1):
        log.write_bytes(words[:end])
        output.catch_up()
    assert capsys.readouterr().out.endswith("größer\n")
