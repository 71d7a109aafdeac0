"""What is told, and with which exit code, when something fails?"""

from __future__ import annotations

import errno

import pytest

from llmagentos.abi.errors import BY_CODE
from llmagentos.home import Home
from shell.commands.process import ended_with
from shell.failure import status_of
from shell.lines import Speakers


@pytest.mark.parametrize("code", BY_CODE)
def test_has_every_error_its_exit_code(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = BY_CODE[code]("it went wrong", hint="mend it")
    assert status_of(error) == BY_CODE[code].exit_status in (1, 2, 3, 4)
    assert capsys.readouterr().err == "llmos: it went wrong\nhint: mend it\n"


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("keep it as a file (fs.write)", "keep it as a file (llmos fs write)"),
        ("fs.history shows its versions, and fs.restore brings one back",
         "llmos fs history shows its versions, and llmos fs restore brings one back"),
        ("did you mean fs.reader?", "did you mean fs.reader?"),
        ("allow it: ['tool:fs.write']", "allow it: ['tool:fs.write']"),
        ("look at /srv/mem.list/models", "look at /srv/mem.list/models"),
        ("look at mem.list.yaml", "look at mem.list.yaml"),
    ],
)  # fmt: skip
def test_does_a_hint_name_commands_in_place_of_syscalls_and_of_nothing_else(
    hint: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status_of(BY_CODE["EINVAL"]("it went wrong", hint=hint))
    assert capsys.readouterr().err == f"llmos: it went wrong\nhint: {told}\n"


def test_is_an_unexpected_error_a_bug_and_not_a_traceback(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(KeyError("surprise")) == 1
    told = capsys.readouterr().err
    assert "this is a bug: KeyError: 'surprise'" in told
    assert "Traceback" not in told
    log = home.logs / "shell.log"
    assert "KeyError: 'surprise'" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert status_of(KeyError("\udcff")) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), 130),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 4),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1),
    ],
)
def test_is_a_failure_of_the_machine_no_bug(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(error) == status
    assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [None, {"code": "ECANCELED", "message": "it was interrupted", "hint": "do so"}]
)
def test_is_the_exit_code_the_process_own(
    error: object, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"pid": 5, "name": "x", "code": 130, "signal": "INT", "error": error}
    assert ended_with(record) == 130
    said = "it was interrupted\nhint: do so" if error else "x (pid 5) exited with code 130"
    assert said in capsys.readouterr().err


def test_do_streams_that_come_at_once_stay_readable(capsys: pytest.CaptureFixture[str]) -> None:
    speakers = Speakers(["a", "long"])
    speakers.say("a", "half a ")
    speakers.say("long", "one line\nand ")
    assert capsys.readouterr().out == "long │ one line\n"
    speakers.say("a", "line\n" + "word " * 40)
    speakers.finish("long")
    speakers.finish("a")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "   a │ half a line"
    assert "long │ and" in lines
    assert max(map(len, lines)) <= 100
    assert sum(line.count("word") for line in lines) == 40
