"""Is every mistake on the command line one clear sentence, and the right exit code?"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from llmagentos.abi.model import MAX_TEXT
from llmagentos.abi.wire import MAX_BODY
from llmagentos.home import Home
from shell import image
from shell.cli import COMMANDS, cli, main
from shell.session import limits_from

Main = Callable[..., tuple[int, str, str]]


@pytest.fixture
def llmos(home: Home, capsys: pytest.CaptureFixture[str]) -> Main:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(list(words))
        return status, *capsys.readouterr()

    return run


def _all_commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, sub) for sub in command.list_commands(click.Context(command))]
    return found


@pytest.mark.parametrize("words", _all_commands(), ids=" ".join)
def test_does_help_show_an_example(words: tuple[str, ...]) -> None:
    for option in ("--help", "-h"):
        result = CliRunner().invoke(cli, [*words, option])
        assert result.exit_code == 0
        assert f"  llmos {words[0]}" in result.output


def test_does_llmos_alone_list_all_commands(llmos: Main) -> None:
    status, out, _ = llmos()
    assert status == 0
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert "..." not in out.partition("Commands:")[2]


def test_does_it_know_its_version(llmos: Main) -> None:
    assert llmos("--version") == (0, "llmos 0.1.0\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",), ("ps", "--nonsense"), ("kill",), ("kill", "x"), ("kill", "0"),
        ("kill", "1", "-s", "HUP"), ("kill", "9" * 23), ("kill", str(2**53 + 1)),
        ("run", "\udcff\udcfe", "hi"), ("\udcff",), ("mem", "search", "\udcff"),
        ("send", "1", "\udcff"),
        ("wait", "1", "2"), ("run",), ("limits", "1", "tokens"),
        ("limits", "1", "colour=red"), ("limits", "1", "tokens=-1"), ("limits", "1", "wall=soon"),
        ("run", "x", "y", "--schema", "/none/at/all"), ("run", "x", "y", "--schema", "/dev/null"),
        ("run", "x", "y", "--limit", "tokens=1.5"), ("run", "x", "y", "--max-tokens", "0"),
        ("run", "x", ""), ("run", "x", " \n\t"), ("run", "x", "\udcff"),
        ("run", "x", "y", "--temperature", "-1"), ("send", "1", " "), ("models", "rm"),
        ("completion", "powershell"), ("mem", "search"), ("fs", "cat"), ("audit", "nonsense"),
        ("nice", "1"), ("nice", "1", "-21"), ("nice", "x", "1"), ("nice", "1", "--nonsense"),
        ("fork",), ("fork", "x"), ("fork", "1", ""), ("fork", "1", "\udcff"),
        ("ctx", "read", "x"), ("ctx", "read", "1", "--last", "9" * 20), ("ctx", "restore", "1"),
        ("ctx", "rewind", "1", "-1"), ("ctx", "rewind", "1"), ("ctx", "compact", "1"),
        ("ctx", "compact", "1", ""), ("ctx", "compact", "1", "x", "--keep", "some"),
        ("ctx", "nonsense"), ("drivers", "drain"), ("drivers", "nonsense"), ("kill", "1", "x"),
        ("drivers", "--json", "undrain", "x"), ("ps", "--sort", "colour"), ("ps", "--filter"),
        ("top", "--interval", "nan"), ("top", "--interval", "0"),
        ("web", "--port", "0"), ("web", "--port", "x"), ("web", "--host", "0.0.0.0"),
        ("web", "--host", "192.0.2.1", "--read-only"),
    ],
    ids=ascii,
)  # fmt: skip
def test_does_a_mistake_exit_with_2(llmos: Main, words: tuple[str, ...]) -> None:
    status, out, err = llmos(*words)
    assert (status, out) == (2, "")
    sentence, hint = err.splitlines()
    assert sentence.startswith("llmos: ")
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("kill", "x"), "invalid value for 'PID…': 'x' is not a whole number"),
        (("run", "x", "y", "--temperature", "hot"),
         "invalid value for '--temperature': 'hot' is not a number"),
        (("run", "x", "y", "--temperature", "nan"),
         "invalid value for '--temperature': 'nan' is not a number"),
        (("models", "--json", "rm", "x"), "--json goes after rm"),
    ],
    ids=ascii,
)  # fmt: skip
def test_is_what_is_no_number_called_that(llmos: Main, words: tuple[str, ...], says: str) -> None:
    _, _, err = llmos(*words)
    assert err.splitlines()[0] == f"llmos: {says}"


@pytest.mark.parametrize("group", ["audit", "ctx", "mem", "fs"])
def test_does_a_group_alone_show_its_help(llmos: Main, group: str) -> None:
    status, out, err = llmos(group)
    assert (status, out) == (2, "")
    assert f"\n  llmos {group} " in err
    assert "\nCommands:\n" in err


def test_is_a_home_that_is_a_file_a_usage_error(llmos: Main, home: Home) -> None:
    home.root.write_text("")
    status, out, err = llmos("up", "--detach")
    assert (status, out) == (2, "")
    assert f"{home.root} is not a folder\nhint: set LLMOS_HOME" in err


@pytest.mark.parametrize("words", [("ps",), ("down",), ("doctor", "--json"), ("up", "--detach")])
def test_is_a_home_that_nobody_knows_a_usage_error(
    llmos: Main, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOS_HOME", "~nobody-of-this-name/llmos")
    status, out, err = llmos(*words)
    assert (status, out) == (2, "")
    assert "that user has no home folder\nhint: set LLMOS_HOME to a whole path" in err


@pytest.mark.parametrize(
    "words",
    [("ps",), ("ps", "--json"), ("status",), ("run", "x", "hello"), ("events",), ("top",),
     ("kill", "5"), ("logs", "5"), ("audit", "verify"), ("drivers",), ("approvals",)],
    ids=" ".join,
)  # fmt: skip
def test_does_a_system_that_is_down_exit_with_3(llmos: Main, words: tuple[str, ...]) -> None:
    status, out, err = llmos(*words)
    assert (status, out) == (3, "")
    assert "is not up" in err
    assert "hint: start it: llmos up --detach" in err


def test_does_a_failure_keep_its_exit_code_when_nobody_hears_of_it(home: Home) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "shell", "ps"]
    done = subprocess.run(command, env=image.environment(home), stderr=theirs, timeout=60)
    os.close(theirs)
    assert done.returncode == 3


def test_is_down_content_when_nothing_is_up(llmos: Main) -> None:
    status, out, _ = llmos("down")
    assert status == 0
    assert "was not up" in out


def test_does_a_bad_configuration_keep_the_system_down(llmos: Main, home: Home) -> None:
    home.root.mkdir()
    home.config.write_text("hosts: many\n")
    status, out, err = llmos("up", "--detach")
    assert (status, out) == (2, "")
    assert "config.yaml line 1: hosts" in err
    assert llmos("status")[0] == 3


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (b"", 2, "the input is empty"),
        (b" \n ", 2, "the input is empty"),
        (b"abc\xff\n", 2, "byte 3 is 0xff"),
        (b"a" * (MAX_TEXT + 1), 4, "larger than 1 MiB"),
        ("ä".encode() * (MAX_TEXT + 1), 4, "larger than 1 MiB"),
        (b"\xff" * (4 * MAX_TEXT + 1), 4, "larger than 1 MiB"),
        (b"a" * MAX_TEXT, 3, "is not up"),
    ],
    ids=["nothing", "blank", "not UTF-8", "long", "long and wide", "endless", "just right"],
)
@pytest.mark.parametrize("words", [(), ("-",)])
def test_is_what_is_piped_in_checked(
    llmos: Main,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    text: bytes,
    status: int,
    said: str,
) -> None:
    file = tmp_path / "input"
    file.write_bytes(text)
    with file.open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        got, out, err = llmos("run", "x", *words)
    assert (got, out) == (status, "")
    assert said in err


@pytest.mark.parametrize(
    ("words", "text", "status", "said"),
    [
        (("fs", "write", "x"), None, 2, "there is no content"),
        (("fs", "write", "x", "-"), None, 2, "stdin is closed"),
        (("mem", "put", "x"), None, 2, "there is no value"),
        (("mem", "put", "x", "-"), None, 2, "stdin is closed"),
        (("run", "x", "-"), None, 2, "stdin is closed"),
        (("mem", "put", "x"), "ä".encode() * MAX_BODY, 4, "the input is larger than"),
        (("mem", "put", "x", "--parse"), b"[" * 100_000, 2, "is not JSON"),
    ],
    ids=lambda given: "" if isinstance(given, bytes) else None,
)
def test_is_a_pipe_that_is_closed_or_endless_a_mistake(
    llmos: Main,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    text: bytes | None,
    status: int,
    said: str,
) -> None:
    file = tmp_path / "input"
    file.write_bytes(text or b"")
    with file.open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", None if text is None else stdin)
        got, out, err = llmos(*words)
    assert (got, out) == (status, "")
    assert said in err


def test_are_limits_read_with_their_units() -> None:
    given = ("tokens=20", "wall=1m30s", "money=0.5", "turns=0")
    assert limits_from(given) == {"tokens": 20, "wall": 90.0, "money": 0.5, "turns": 0}


@pytest.mark.parametrize(
    ("pair", "why"),
    [("wall=5x", "not a duration; write it as 500ms"), ("tokens=x", "input should")],
)
def test_is_a_wrong_limit_told_in_plain_words(llmos: Main, pair: str, why: str) -> None:
    status, out, err = llmos("run", "summarise", "x", "--limit", pair)
    assert (status, out) == (2, "")
    assert f"the limit {pair} is not right: {why}" in err


def test_may_a_text_have_letters_that_the_locale_lacks(home: Home) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "shell", "run", "summarise", "grüße".encode()]
    environment = image.environment(home) | ascii_only
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    # It got as far as asking for the system.
    assert (done.returncode, "is not up" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_is_there_a_completion_for(llmos: Main, shell: str) -> None:
    status, out, _ = llmos("completion", shell)
    assert status == 0
    assert "_LLMOS_COMPLETE" in out


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("llmos st", ["status"]), ("llmos fo", ["fork"]), ("llmos we", ["web"]),
        ("llmos ctx re", ["read", "restore", "rewind"]), ("llmos drivers und", ["undrain"]),
        ("llmos ps --sort ki", []), ("llmos ps --sort k", ["kv"]), ("llmos kill -s ST", ["STOP"]),
    ],
    ids=repr,
)  # fmt: skip
def test_does_completion_know_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, known: list[str]
) -> None:
    for name, value in {
        "_LLMOS_COMPLETE": "bash_complete", "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 0
    assert capsys.readouterr().out.split() == [f"plain,{word}" for word in known]


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-", "2</dev/null", "2>/dev/full"])
def test_is_the_code_the_same_where_nobody_hears_the_sentence(home: Home, closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "shell", "info", "x"]
    assert subprocess.run(command, env=image.environment(home), check=False).returncode == 2
