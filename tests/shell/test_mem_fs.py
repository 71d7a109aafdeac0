"""Do ``llmos mem`` and ``llmos fs`` do what they say? With a real kernel."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmagentos import connect_async
from llmagentos.abi import wire
from llmagentos.abi.errors import EBUSY, ENOENT, EQUOTA
from llmagentos.home import Home
from shell.cli import main
from tests.system.machines import Machines

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(Home(tmp_path_factory.mktemp("system")))
    try:
        machines.start_kernel()
        yield machines
    finally:
        machines.close()


@pytest.fixture
def llmos(
    system: Machines, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Command:
    monkeypatch.setenv("LLMOS_HOME", str(system.home.root))

    def run(*words: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main(list(words))
        out, err = capfdbinary.readouterr()
        return status, out.decode(errors="surrogateescape"), err.decode()

    return run


def told(done: tuple[int, str, str]) -> Any:
    """The JSON document that it printed."""
    assert (done[0], done[2]) == (0, "")
    return json.loads(done[1])


# -- mem --------------------------------------------------------------------------------------


def test_is_a_row_put_got_listed_found_and_forgotten(llmos: Command) -> None:
    place = ("--space", "notes")
    assert llmos("mem", "put", "birthday", "the third of May", *place) == (
        0, "birthday is kept: 90 bytes\n", "",
    )  # fmt: skip
    assert "is replaced" in llmos("mem", "put", "birthday", "the 4th of May", *place)[1]
    assert llmos("mem", "get", "birthday", *place)[1] == "the 4th of May\n"
    status, out, _ = llmos("mem", "ls", *place)
    assert (status, out.split()[:6]) == (
        0, ["KEY", "SIZE", "OWNER", "LABELS", "UPDATED", "EXPIRES"],
    )  # fmt: skip
    row = out.splitlines()[1].split()
    assert (row[0], row[-1]) == ("birthday", "never")
    status, out, _ = llmos("mem", "search", "may", "4th", *place)
    assert (status, "birthday: the 4th of May" in out) == (0, True)
    assert llmos("mem", "search", "june", *place)[1] == "no row has all these words\n"
    assert llmos("mem", "rm", "birthday", *place) == (0, "birthday is forgotten\n", "")
    assert llmos("mem", "ls", *place)[1] == "there is no row\n"


def test_is_a_value_a_text_or_what_json_says(llmos: Command) -> None:
    llmos("mem", "put", "n", '{"a": [1, null]}', "--parse")
    assert told(llmos("mem", "get", "n")) == {"a": [1, None]}
    llmos("mem", "put", "n", "null", "--parse")
    assert told(llmos("mem", "get", "n", "--json"))["value"] is None
    llmos("mem", "put", "n", "12")
    assert told(llmos("mem", "get", "n", "--json"))["value"] == "12"
    status, out, err = llmos("mem", "put", "n", "{", "--parse")
    assert (status, out) == (2, "")
    assert "is not JSON" in err


def test_is_a_value_piped_in(llmos: Command) -> None:
    assert llmos("mem", "put", "letter", "-", stdin="Grüße\n".encode())[0] == 0
    assert llmos("mem", "get", "letter")[1] == "Grüße\n\n"
    assert llmos("mem", "put", "letter", stdin=b"[1]")[0] == 0
    assert told(llmos("mem", "get", "letter", "--json"))["value"] == "[1]"
    status, _, err = llmos("mem", "put", "letter", stdin=b"\xff")
    assert (status, "not UTF-8" in err) == (2, True)


def test_do_labels_and_a_time_go_with_a_row(llmos: Command) -> None:
    llmos("mem", "put", "x", "1", "--label", "private", "--label", "draft", "--ttl", "1h")
    (row,) = told(llmos("mem", "ls", "x", "--json"))["rows"]
    assert row["labels"] == ["draft", "private"]
    assert row["expires"] == pytest.approx(row["updated"] + 3600)
    assert "draft,private" in llmos("mem", "ls", "x")[1]
    assert llmos("mem", "put", "x", "1", "--ttl", "soon")[0] == 2


def test_is_more_than_one_page_of_rows_listed(llmos: Command, system: Machines) -> None:
    with system.user() as user:
        calls = [user.open("mem.put", space="many", key=f"k/{n:04}", value=n) for n in range(1002)]
        for call in calls:
            call.result()
    rows = told(llmos("mem", "ls", "k/", "--space", "many", "--json"))["rows"]
    assert [row["key"] for row in rows] == [f"k/{n:04}" for n in range(1002)]
    rows = told(llmos("mem", "ls", "k/00", "--space", "many", "--json"))["rows"]
    assert len(rows) == 100


def test_is_the_memory_of_a_process_reached_by_its_pid(llmos: Command, system: Machines) -> None:
    with system.program(name="rememberer") as program:
        program.call("mem.put", key="x", value="its own")
        place = ("--pid", str(program.pid))
        assert llmos("mem", "get", "x", *place)[1] == "its own\n"
        found = told(llmos("mem", "search", "own", *place, "--json"))["hits"]
        assert [hit["row"]["owner"] for hit in found] == [program.pid]
        assert told(llmos("mem", "rm", "x", *place, "--json")) == {"deleted": True}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("mem", "get", "none"), "there is no row 'none'"),
        (("mem", "rm", "none"), "there is no row 'none'"),
        (("mem", "search", "..."), "no word"),
        (("mem", "get", "x", "--space", "a/b"), "space"),
        (("mem", "get", "x", "--pid", "999"), "no process 999"),
        (("fs", "cat", "none"), "there is no file /self/none"),
        (("fs", "cat", "/self/../x"), "'..'"),
        (("fs", "ls", "/self/none"), "there is no folder /self/none"),
        (("fs", "rm", "none"), "there is no file"),
        (("fs", "restore", "none", "1"), "there is no file"),
        (("fs", "history", "/"), "is a folder"),
        (("fs", "write", "x", "/no/such/file"), "there is no file /no/such/file here"),
    ],
)
def test_is_a_mistake_one_sentence(llmos: Command, words: tuple[str, ...], says: str) -> None:
    status, out, err = llmos(*words)
    assert (status, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 2


# -- fs ---------------------------------------------------------------------------------------


def test_is_a_file_written_read_and_listed(llmos: Command, tmp_path: Path) -> None:
    data = bytes(range(256))
    source = tmp_path / "source"
    source.write_bytes(data)
    assert llmos("fs", "write", "/inbox/a/x.bin", str(source)) == (
        0, "/inbox/a/x.bin is at version 1: 256 B\n", "",
    )  # fmt: skip
    assert llmos("fs", "cat", "/inbox/a/x.bin")[1].encode(errors="surrogateescape") == data
    assert llmos("fs", "write", "/inbox/y", stdin=b"piped")[0] == 0
    assert llmos("fs", "cat", "/inbox/y") == (0, "piped", "")
    assert "inbox/" in llmos("fs", "ls")[1].split()
    lines = llmos("fs", "ls", "/inbox")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "a/", "y"]
    lines = llmos("fs", "ls", "/inbox", "-r")[1].splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["/inbox/a/x.bin", "/inbox/y"]
    listed = told(llmos("fs", "ls", "/inbox", "--json"))
    assert ([f["path"] for f in listed["files"]], listed["folders"]) == (["/inbox/y"], ["a"])
    assert llmos("fs", "ls", "/empty")[1] == "nothing is here\n"


def test_does_json_have_the_content_too(llmos: Command) -> None:
    llmos("fs", "write", "j", stdin="Grüße".encode())
    assert told(llmos("fs", "cat", "j", "--json"))["text"] == "Grüße"
    llmos("fs", "write", "j", stdin=b"\xff")
    assert told(llmos("fs", "cat", "j", "--json"))["base64"] == "/w=="


def test_is_every_version_to_be_had(llmos: Command) -> None:
    path = "/inbox/versions"
    for text in (b"one", b"two"):
        llmos("fs", "write", path, "--label", "draft", stdin=text)
    assert llmos("fs", "rm", path)[1] == (
        f"{path} is deleted; llmos fs restore {path} 2 undoes it\n"
    )
    lines = [line.split() for line in llmos("fs", "history", path)[1].splitlines()]
    assert lines[0][:3] == ["VERSION", "TIME", "SIZE"]
    assert [line[0] for line in lines[1:]] == ["3", "2", "1"]
    assert lines[1][3] == "deleted"
    assert llmos("fs", "cat", path)[0] == 2
    assert llmos("fs", "cat", path, "--version", "1")[1] == "one"
    assert llmos("fs", "restore", path, "2")[1] == f"{path} is at version 4, as it was at 2\n"
    assert llmos("fs", "cat", path)[1] == "two"
    assert told(llmos("fs", "history", path, "--json"))["versions"][0]["labels"] == ["draft"]


def test_does_a_write_meet_what_it_expects(llmos: Command) -> None:
    path = "/inbox/expected"
    assert told(llmos("fs", "write", path, "--expect", "0", "--json", stdin=b"1"))["version"] == 1
    status, out, err = llmos("fs", "write", path, "--expect", "0", stdin=b"2")
    assert (status, out) == (4, "")
    assert "is there already, at version 1" in err


def test_is_more_than_one_page_of_files_listed(llmos: Command, system: Machines) -> None:
    with system.user() as user:
        calls = [user.open("fs.write", path=f"/many/{n:04}", text="x") for n in range(1002)]
        for call in calls:
            call.result()
    files = told(llmos("fs", "ls", "/many", "--json"))["files"]
    assert [file["path"] for file in files] == [f"/many/{n:04}" for n in range(1002)]


# -- the clients ------------------------------------------------------------------------------


def test_do_files_come_and_go_through_the_client(system: Machines) -> None:
    data = bytes(range(256)) * 5000
    with system.program(name="filer") as program:
        assert program.write_file("a/b", data, labels=["draft"]).labels == ["draft"]
        assert program.write_file("a/b", "Grüße", expect=1).version == 2
        assert program.read_file("a/b") == "Grüße".encode()
        assert program.read_file("/self/a/b", version=1) == data
        with pytest.raises(EBUSY):
            program.write_file("a/b", "", expect=1)
        with pytest.raises(ENOENT):
            program.read_file("none")
        with system.user() as user:
            assert user.read_file("a/b", pid=program.pid) == "Grüße".encode()
            user.write_file("a/c", b"", pid=program.pid)
        assert program.read_file("a/c") == b""


def test_is_a_content_that_is_too_large_not_even_sent(system: Machines) -> None:
    with system.user() as user:
        with pytest.raises(EQUOTA, match=f"the most is {wire.MAX_BUFFER:,}"):
            user.write_file("large", bytes(wire.MAX_BUFFER + 1))
        assert user.call("sys.ping")["time"]


def test_do_files_come_and_go_through_the_async_client(system: Machines) -> None:
    async def run() -> None:
        async with connect_async(home=system.home.root, name="async-filer") as program:
            assert (await program.write_file("x", b"\xff" * 100)).size == 100
            assert await program.read_file("x") == b"\xff" * 100
            with pytest.raises(EBUSY):
                await program.write_file("x", b"", expect=0)
            both = program.write_file("y", "1"), program.write_file("z", "2")
            await asyncio.gather(*both)
            texts = await asyncio.gather(program.read_file("y"), program.read_file("z"))
            assert texts == [b"1", b"2"]
            with pytest.raises(ENOENT):
                await program.read_file("none")

    asyncio.run(run())


def test_does_a_file_survive_the_kernel(system: Machines) -> None:
    with system.program(name="survivor") as program:
        program.write_file("x", b"kept")
        program.call("mem.put", key="x", value="kept")
        system.kill_kernel()
        system.start_kernel()
        assert program.read_file("x") == b"kept"
        assert program.call("mem.get", key="x")["value"] == "kept"


def test_do_hints_name_what_one_types(llmos: Command) -> None:
    status, _, error = llmos("mem", "get", "no-such-key")
    assert status == 2
    assert "hint: llmos mem ls shows which there are" in error
    status, _, error = llmos("fs", "cat", "no/such/file")
    assert status == 2
    assert "hint: llmos fs ls shows" in error


def test_is_a_name_that_can_be_none_told_in_words(llmos: Command) -> None:
    status, out, err = llmos("mem", "ls", "--space", "../x")
    assert (status, out) == (2, "")
    assert err.startswith(
        "llmos: mem.list: space: it is no name\nhint: a name has up to 63 letters"
    )
