"""Is everything that a program says either sent or refused in one sentence?"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from llmagentos.abi import errors, wire
from llmagentos.abi.calls.proc import MAX_SOURCE
from llmagentos.exchange import Exchange, Piece, Reply, arguments
from llmagentos.home import Home, write_secret
from llmagentos.manifest_file import manifest_arguments


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def _cycle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"pid": 2**70}, "64 bits"),
        ({"text": "\udcff"}, "not valid Unicode"),
        ({"text": {1, 2}}, "serialize 'set'"),
        ({"text": _deep(2000)}, "nested too deeply"),
        ({"text": _cycle()}, "nested too deeply"),
    ],
)
def test_is_what_can_not_be_sent_refused(args: dict[str, Any], says: str) -> None:
    exchange = Exchange()
    with pytest.raises(errors.EINVAL, match=says):
        exchange.open("proc.info", args, "s", lambda _: None)
    assert len(exchange) == 0


def test_is_what_has_too_many_values_refused() -> None:
    exchange = Exchange()
    with pytest.raises(errors.EQUOTA, match="more than 65,536 values") as caught:
        exchange.open("mem.put", {"key": "k", "value": [0] * 65_536}, "s", lambda _: None)
    assert "as one text" in caught.value.hint
    assert len(exchange) == 0
    assert exchange.open("mem.put", {"key": "k", "value": "x" * 4_000_000}, "s", lambda _: None)


@pytest.mark.parametrize(("name", "session"), [("x" * 5000, ""), ("a", "s" * 5000), ("\udcff", "")])
def test_is_a_header_that_can_not_be_sent_refused(name: str, session: str) -> None:
    with pytest.raises(errors.EINVAL) as caught:
        Exchange().open(name, {}, session, lambda _: None)
    assert caught.value.message.isascii()


@pytest.mark.parametrize("value", [_deep(5000), _cycle(), {"a": _deep(100)}])
def test_is_what_is_nested_too_deeply_refused(value: Any) -> None:
    with pytest.raises(errors.EINVAL, match="nested"):
        arguments(limits=value)
    with pytest.raises(errors.EINVAL, match="nested"):
        manifest_arguments({"spec": value})


def test_is_an_llm_call_that_is_abandoned_cancelled_and_no_other() -> None:
    exchange = Exchange()
    heard: list[Reply | Piece] = []
    number, _ = exchange.open("llm.generate", {}, "s", heard.append)
    other, _ = exchange.open("proc.wait", {"pid": 1}, "s", heard.append)
    cancel = wire.decode(exchange.abandon(number))
    assert (cancel.name, cancel.session, cancel.body) == ("llm.cancel", "s", {"call": number})
    assert exchange.abandon(other) == []
    assert exchange.abandon(number) == []
    exchange.feed(wire.encode(wire.Message("reply", cancel.id, body={"ok": True, "result": {}})))
    assert (len(exchange), heard) == (0, [])


def test_does_an_odd_part_of_an_answer_fail_its_call_alone() -> None:
    exchange = Exchange()
    heard: list[Reply | Piece] = []
    number, _ = exchange.open("llm.generate", {}, "s", heard.append)
    exchange.open("proc.wait", {"pid": 1}, "s", heard.append)
    exchange.feed(wire.encode(wire.Message("stream", number, body={"burst": "x"})))
    assert [type(r.error) for r in heard if isinstance(r, Reply)] == [errors.EPROTO]
    assert len(exchange) == 1


# -- manifests --------------------------------------------------------------------------------


def test_is_a_path_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "plain"
    file.write_text("héllo", encoding="utf-8")
    assert manifest_arguments(file) == {
        "source": "héllo", "file": str(file), "folder": str(file.parent),
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert manifest_arguments(Path("plain"))["source"] == "héllo"
    assert manifest_arguments("plain") == {"manifest": "plain"}


def test_can_a_file_have_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml")
    Path(path).write_text("x", encoding="utf-8")
    told = manifest_arguments(path)
    assert (told["source"], told["file"].isprintable()) == ("x", True)
    Exchange().open("proc.spawn", told, "s", lambda _: None)


@pytest.mark.parametrize("manifest", ["a\0/b", "/\ud800", 5, "/dev/zero", "/dev/null", "/"])
def test_is_what_is_no_manifest_refused(manifest: Any) -> None:
    with pytest.raises(errors.EINVAL):
        manifest_arguments(manifest)


def test_is_a_file_that_is_too_large_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("é" * MAX_SOURCE, encoding="utf-8")
    assert len(manifest_arguments(file)["source"]) == MAX_SOURCE
    for text in ("e" * (MAX_SOURCE + 1), "é" * 3 * MAX_SOURCE):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(errors.EINVAL, match=r"large\.yaml is too large for a manifest"):
            manifest_arguments(file)


def test_does_a_pipe_that_nobody_writes_to_not_block(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    begun = time.monotonic()
    with pytest.raises(errors.EINVAL, match=r"pipe\.yaml"):
        manifest_arguments(pipe)
    assert time.monotonic() - begun > 1.5, "somebody may be about to write"


def test_is_a_manifest_read_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmagentos.manifest_file.PIPE_PATIENCE", 30.0)
    reading, writing = os.pipe()

    def write() -> None:
        for part in (b"one ", b"two"):
            time.sleep(0.2)
            os.write(writing, part)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    assert manifest_arguments(f"/dev/fd/{reading}")["source"] == "one two"
    writer.join()
    os.close(reading)


# -- keys and tokens --------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"\n", b"short", b"\xff" * 64, b"x" * 5000])
def test_is_a_broken_key_refused_by_its_file(tmp_path: Path, content: bytes | None) -> None:
    home = Home(tmp_path)
    if content is None:
        home.user_key_file.mkdir()
    else:
        home.user_key_file.write_bytes(content)
    with pytest.raises(errors.EAUTH) as caught:
        home.user_key()
    assert str(home.user_key_file) in caught.value.message
    assert caught.value.hint.startswith("remove it and restart")


@pytest.mark.parametrize("name", ["../x", "x" * 64, "", ".x", "a/b", "x\n", "\udcff", "a\0", 5])
def test_is_a_name_checked_before_it_is_a_path(tmp_path: Path, name: Any) -> None:
    with pytest.raises(errors.EINVAL) as caught:
        Home(tmp_path).session_file(name)
    assert caught.value.message.isascii()


def test_does_nothing_stand_in_the_way_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / f".key.{os.getpid()}").write_text("stale", encoding="ascii")
    threads = [
        threading.Thread(target=write_secret, args=(tmp_path / "key", f"{n}" * 64))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set((tmp_path / "key").read_text(encoding="ascii"))) == 1
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 2


def test_is_a_call_that_is_abandoned_without_a_cancel_forgotten_at_once() -> None:
    """An agent host lets go of many; what it never sends must neither pile up nor go out later."""
    exchange = Exchange()
    number, _ = exchange.open("llm.generate", {}, "s", lambda _: None)
    assert exchange.abandon(number, cancel=False) == []
    assert (len(exchange), list(exchange.unanswered())) == (0, [])


def test_are_the_ids_of_connections_apart_and_do_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr("llmagentos.exchange.time.time_ns", lambda: now)
    ids = []
    for lane in (0, 1, 2**16 - 1):
        monkeypatch.setattr("llmagentos.exchange.secrets.randbelow", lambda _, lane=lane: lane)
        exchange = Exchange()
        ids += [exchange.open("sys.ping", {}, "s", lambda _: None)[0] for _ in range(1000)]
    assert len(set(ids)) == 3000
    assert max(ids) < 2**62
    # A program of the same name that is started later.
    now += 1000 * 64_000
    assert Exchange().open("sys.ping", {}, "s", lambda _: None)[0] > max(ids) - 2**16


def test_is_what_was_heard_of_old_answers_forgotten() -> None:
    exchange = Exchange()
    heard: list[Any] = []
    number, _ = exchange.open("proc.wait", {"pid": 2}, "s", heard.append)
    for burst in range(1, 201):
        for offset in (0, 2):
            body = {"burst": burst, "offset": offset, "text": "ab", "restarts": 0}
            exchange.feed(wire.encode(wire.Message("stream", number, body=body)))
    assert [piece.text for piece in heard] == ["ab"] * 400
    assert len(exchange._calls[number].heard) < 100
