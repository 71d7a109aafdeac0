"""Does ``llmos doctor`` say what the machine lacks, and how to mend it?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from llmagentos.home import Home
from shell import checkup, image, needs
from shell.cli import main
from tests.shell.standins import run_llmos
from tests.tui.terminal import Terminal

Checks = Callable[[], dict[str, dict[str, Any]]]


@pytest.fixture
def checks(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Checks:
    # What is of no matter here, and slow to find out.
    monkeypatch.setattr("shell.commands.models.store", lambda *_: {"models": []})

    def check() -> dict[str, dict[str, Any]]:
        main(["doctor", "--json"])
        return {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}

    return check


def test_does_it_warn_of_a_terminal_that_is_not_utf_8(home: Home) -> None:
    environment = {**image.environment(home), "LC_ALL": "C", "TERM": "xterm"}
    done = subprocess.run(
        image.command("shell", "doctor", "--json"), env=environment,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    terminal = next(c for c in json.loads(done.stdout)["checks"] if c["name"] == "terminal")
    assert not terminal["ok"]
    assert not terminal["grave"]
    assert "ANSI_X3.4-1968" in terminal["found"]
    assert "export LC_ALL=C.UTF-8" in terminal["remedy"]


@pytest.mark.parametrize(
    ("more", "mark", "found"),
    [
        ({}, "ok", "256"),
        ({"COLORTERM": "truecolor"}, "ok", "16 million"),
        ({"NO_COLOR": "1"}, "ok", "none, as NO_COLOR wants it"),
        ({"TERM": "xterm"}, "warn", "16: shades run into each other"),
    ],
    ids=["256", "all", "none", "16"],
)
def test_are_a_terminals_colours_counted(
    home: Home, more: dict[str, str], mark: str, found: str
) -> None:
    given = {k: v for k, v in image.environment(home).items() if k not in ("COLORTERM", "NO_COLOR")}
    words = ["env", *(f"{k}={v}" for k, v in more.items()), *image.command("shell", "doctor")]
    with Terminal(words, 100, 50, given) as terminal:
        terminal.shows("colours  ", seconds=30)
        terminal.until(lambda: found in terminal.text, found)
        assert f"{mark:<4}  colours        {found}" in terminal.text


def test_is_the_screens_own_package_checked(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"textual {metadata.version('textual')}" in checks()["screen"]["found"]
    there = {"textual": "7.9.1"}

    def version(package: str) -> str:
        if package not in there:
            raise metadata.PackageNotFoundError(package)
        return there[package]

    monkeypatch.setattr(checkup.metadata, "version", version)
    screen = checks()["screen"]
    assert (screen["ok"], screen["grave"]) == (False, False)
    assert screen["found"] == "textual 7.9.1, older than 8.0"
    assert screen["remedy"] == 'pip install "textual>=8.0"'
    there["textual"] = "8.0.0"
    assert checks()["screen"]["ok"]
    assert 'not in browsers without "llmagentos[web]"' in checks()["screen"]["found"]
    there.clear()
    assert checks()["screen"]["found"] == "textual is not there"


@pytest.mark.parametrize(
    ("abi", "ok", "said"),
    [(-1, False, "not there"), (3, False, "ABI 3: it keeps"), (4, True, "ABI 4")],
)
def test_is_it_told_what_keeps_tools_in(
    checks: Checks, monkeypatch: pytest.MonkeyPatch, abi: int, ok: bool, said: str
) -> None:
    class Library:
        def syscall(self, number: int, *_: object) -> int:
            assert number == 444
            return abi

    monkeypatch.setattr(checkup.ctypes, "CDLL", lambda *_, **__: Library())
    landlock = checks()["landlock"]
    assert (landlock["ok"], landlock["grave"]) == (ok, False)
    assert landlock["found"].startswith(said)
    assert ("6.7" in landlock["remedy"]) is not ok


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({"user/max_user_namespaces": 100}, ""),
        ({"user/max_user_namespaces": 0}, "user.max_user_namespaces=10000"),
        (
            {"user/max_user_namespaces": 100, "kernel/unprivileged_userns_clone": 0},
            "kernel.unprivileged_userns_clone=1",
        ),
        (
            {"user/max_user_namespaces": 9, "kernel/apparmor_restrict_unprivileged_userns": 1},
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
    ids=["all there", "none", "for root alone", "not with AppArmor"],
)
def test_is_it_told_who_may_have_namespaces(
    checks: Checks,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, int],
    lacks: str,
) -> None:
    for name, value in settings.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{value}\n")
    monkeypatch.setattr(checkup, "_SETTINGS", tmp_path)
    namespaces = checks()["namespaces"]
    assert (namespaces["ok"], namespaces["grave"]) == (not lacks, False)
    assert namespaces["remedy"] == (f"sudo sysctl -w {lacks}" if lacks else "")


@pytest.mark.parametrize(
    ("status", "said", "ok"),
    [
        (0, "commands can be confined", True),
        (1, "the kernel has Landlock not at all; 3 is needed", False),
        (3, "", False),
    ],
)
def test_is_it_tried_whether_a_sandbox_confines(
    checks: Checks, monkeypatch: pytest.MonkeyPatch, status: int, said: str, ok: bool
) -> None:
    def run(words: list[str], home: Home) -> subprocess.CompletedProcess[str]:
        assert words[-2:] == ["drivers.sandbox", "--check"]
        return subprocess.CompletedProcess(words, status, said, "")

    monkeypatch.setattr(needs, "_run", run)
    sandbox = checks()["sandbox"]
    assert (sandbox["ok"], sandbox["grave"]) == (ok, False)
    assert ok or sandbox["found"] == (said or "no trial")
    assert ("unconfined: true" in sandbox["remedy"]) is not ok


def test_does_the_sandbox_say_itself_whether_it_can_confine(home: Home) -> None:
    done = subprocess.run(
        image.command("drivers.sandbox", "--check"), env=image.environment(home),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines())) in ((0, 1), (1, 1))
    assert (done.stdout == "commands can be confined\n") == (done.returncode == 0)
    assert not (home.root / "sandbox").exists()


def test_are_keys_looked_for_where_the_configuration_says(
    home: Home, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.create()
    home.config.write_text(
        "drivers:\n"
        "- {name: far, kind: cloud, endpoint: 'https://x.test/v1', models: [m], key: FAR_KEY}\n"
        "- {name: ring, kind: cloud, endpoint: 'https://x.test/v1', models: [m],"
        " key: 'keyring:x/me'}\n"
        "- {name: near, kind: mcp, command: [server], env: [NEAR_KEY]}\n"
        "- {name: web, kind: mcp, url: 'https://x.test/mcp', token: WEB_KEY}\n",
        encoding="utf-8",
    )
    entry = {"there": False}

    def run(words: list[str], home: Home) -> subprocess.CompletedProcess[str]:
        ring = words[-3:] == ["get", "x", "me"]
        return subprocess.CompletedProcess(words, int(ring and not entry["there"]), "s3cret", "")

    monkeypatch.setattr(needs, "_run", run)
    names = ("FAR_KEY", "NEAR_KEY", "WEB_KEY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    found = [checks()[f"key of {name}"] for name in ("far", "near", "web", "ring")]
    assert [(one["ok"], one["grave"]) for one in found] == [(False, False)] * 4
    for name, one in zip(names, found, strict=False):
        assert name in one["found"]
        assert one["remedy"] == f"export {name}=… before llmos up"
    assert found[3]["remedy"] == "keyring set x me"
    entry["there"] = True
    for name in names:
        monkeypatch.setenv(name, "s3cret")
    found = [checks()[f"key of {name}"] for name in ("far", "near", "web", "ring")]
    assert all(one["ok"] for one in found)
    assert "s3cret" not in str(found)


def test_does_a_warning_leave_the_exit_status_alone(home: Home) -> None:
    # Of what is grave only the system is missing here: that is the 1.
    done = run_llmos(home, "doctor", "--json")
    grave = [c["name"] for c in json.loads(done.stdout)["checks"] if c["grave"] and not c["ok"]]
    assert done.returncode == 1
    assert "system" in grave
    assert "terminal" not in grave
