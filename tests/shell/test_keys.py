"""Does ``llmos keys`` make, show and take back keys, and say clearly what it can't do?"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from llmagentos.abi.errors import EAUTH, EBUSY, EINVAL
from llmagentos.home import Home
from llmagentos.keys import grant, read_keys, read_node_file, server_keys
from shell.cli import main

Told = tuple[int, str, str]
Command = Callable[..., Told]


@pytest.fixture
def command(
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """The command, in an empty folder: its status, stdout and stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*words: str) -> Told:
        status = main(list(words))
        return status, *capsys.readouterr()

    return run


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_is_the_secret_in_the_node_s_file_and_nowhere_else(command: Command, home: Home) -> None:
    status, out, _ = command("keys", "new", "gpu", "--zone", "office", "--label", "internal")
    assert (status, "llmos node --connect" in out) == (0, True)
    node = read_node_file(Path("gpu.key"))
    assert (node.name, node.zone, node.labels) == ("gpu", "office", ["internal"])
    assert node.server == server_keys(home).public
    assert {mode(Path("gpu.key")), mode(home.server_key_file)} == {0o600}
    assert mode(home.keys) == 0o700
    kept = [file for file in home.root.rglob("*") if file.is_file()]
    assert all(node.secret not in file.read_text() for file in kept)
    assert node.secret not in out


def test_are_keys_listed_and_taken_back(command: Command) -> None:
    assert "there is no key" in command("keys", "list")[1]
    made = json.loads(command("keys", "new", "one", "--json")[1])
    command("keys", "new", "two", "--label", "b", "--label", "a")
    listed = json.loads(command("keys", "list", "--json")[1])["keys"]
    assert [(key["name"], key["zone"], key["labels"]) for key in listed] == [
        ("one", "node", []), ("two", "node", ["a", "b"]),
    ]  # fmt: skip
    assert made["public"] == listed[0]["public"]
    assert command("keys", "revoke", "one")[0] == 0
    _, out, _ = command("keys", "list")
    assert "two" in out
    assert "one" not in out


@pytest.mark.parametrize(
    ("words", "status", "said", "hint"),
    [
        (["new", "taken"], 4, "there is a key named taken already", "keys revoke taken"),
        (["new", "edge"], 4, "the name edge is taken by a program", "choose another"),
        (["new", "fresh", "--out", "taken.key"], 4, "there is a file taken.key", "--out"),
        (["new", "fresh", "--out", "no/such/folder"], 1, "can't be written", "--out"),
        (["new", "../up"], 2, "can't be a node's name", "letters"),
        (["new", "fresh", "--zone", "device"], 2, "can't be a node's zone", "never device"),
        (["new", "fresh", "--label", "a b"], 2, "can't be a label", "letters"),
        (["revoke", "nobody"], 2, "there is no key named nobody", "keys list"),
        (["revoke", "../../x"], 2, "there is no key named", "keys list"),
    ],
)
def test_is_what_can_t_be_done_said_clearly(
    command: Command, home: Home, words: list[str], status: int, said: str, hint: str
) -> None:
    command("keys", "new", "taken")
    got, out, complaint = command("keys", *words)
    assert (got, out) == (status, "")
    assert said in complaint
    assert hint in complaint
    assert [key.name for key in read_keys(home)[0]] == ["taken"], "a failure leaves no key behind"


def test_does_a_file_that_is_no_key_grant_nothing(command: Command, home: Home) -> None:
    command("keys", "new", "good")
    good = (home.keys / "good.json").read_text()
    (home.keys / "other.json").write_text(good)
    (home.keys / "device.json").write_text(good.replace('"node"', '"device"'))
    (home.keys / "junk.json").write_text("junk")
    status, out, complaint = command("keys", "list", "--json")
    assert [key["name"] for key in json.loads(out)["keys"]] == ["good"]
    assert (status, complaint.count("grants nothing")) == (0, 3)


def test_does_a_node_refuse_a_key_that_it_can_t_use(command: Command) -> None:
    command("keys", "new", "gpu")
    key = Path("gpu.key")
    status, _, said = command("node", "--connect", "ipc:///x", "--key", "gpu.key")
    assert (status, "tcp://HOST:7667" in said) == (2, True)
    status, _, said = command("node", "--connect", "tcp://h:1", "--key", "none.key")
    assert (status, "there is no key none.key" in said, "llmos keys new" in said) == (2, True, True)
    key.chmod(0o644)
    with pytest.raises(EAUTH, match="other users can read"):
        read_node_file(key)
    key.write_text(key.read_text().replace('"secret":"', '"secret":"x'))
    key.chmod(0o600)
    with pytest.raises(EINVAL, match="secret") as caught:
        read_node_file(key)
    assert len(caught.value.message) < 200, "it must not show the secret"


def test_is_nothing_ever_written_over(command: Command, home: Home) -> None:
    home.create()
    before = server_keys(home)
    command("keys", "new", "gpu")
    assert server_keys(home) == before
    key = read_keys(home)[0][0]
    with pytest.raises(EBUSY):
        grant(home, key)
