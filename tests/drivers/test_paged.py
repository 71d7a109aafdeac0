"""Is the KV of many sequences shared, bounded and put away without a token being another one?"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.edge.paged import PagedRunner
from drivers.edge.runners import make_runner
from llmagentos.abi.errors import ECONTEXT
from tests.drivers.orders import TEXTS, Collected, order, reference, used

SYSTEM = "the quick brown fox jumps over the lazy dog " * 4


def paged(model: Any, folder: Path, blocks: int = 200) -> PagedRunner:
    size = BLOCK * model.card.kv_bytes_per_token
    runner = make_runner(model, 64, blocks * size, folder / "kv")
    assert isinstance(runner, PagedRunner)
    return runner


def watched(runner: PagedRunner, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each forward computes."""
    computed: list[int] = []
    forward = runner._llama.forward

    def counting(tokens: Any, *args: Any) -> Any:
        computed.append(len(tokens))
        return forward(tokens, *args)

    monkeypatch.setattr(runner._llama, "forward", counting)
    return computed


def test_is_a_common_beginning_computed_and_kept_once(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = paged(tiny_model, tmp_path)
    computed = watched(runner, monkeypatch)
    engine, got = EdgeEngine(tiny_model, slots=16, runner=runner), Collected()
    texts = {burst: f"{SYSTEM}{burst}" for burst in range(1, 17)}
    for burst, text in texts.items():
        engine.start(order(burst, text, max_tokens=8))
    got.run(engine)
    for burst, text in texts.items():
        assert got.tokens[burst] == reference(tiny_model, text, 8)
    alone = got.prompt[1]
    assert sum(computed) < 2 * alone + 16 * (BLOCK + 16 + 8)
    before = len(computed)
    engine.start(order(99, texts[3], max_tokens=8))
    again = Collected().run(engine)
    assert again.tokens[99] == got.tokens[3]
    assert computed[before] <= BLOCK, "what it begins with was here still"


def test_share_only_those_who_may_see_the_same(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = paged(tiny_model, tmp_path)
    computed = watched(runner, monkeypatch)
    engine, got = EdgeEngine(tiny_model, slots=4, runner=runner), Collected()
    for burst, labels in enumerate([["private"], [], ["private"], ["team"]], start=1):
        before = len(computed)
        engine.start(order(burst, SYSTEM, max_tokens=2).model_copy(update={"labels": labels}))
        got.run(engine)
        shared = sum(computed[before:]) < got.prompt[burst]
        assert shared == (burst == 3)


@pytest.mark.parametrize("seed", range(3))
def test_do_all_finish_right_with_a_tenth_of_the_room(
    tiny_model: Any, tmp_path: Path, seed: int
) -> None:
    """Many more than fit, preempted and resumed at random: some wait, some are put away."""
    rng = random.Random(seed)
    texts = {burst: TEXTS[burst % 8] + str(burst) for burst in range(1, 31)}
    runner = paged(tiny_model, tmp_path, blocks=30)
    engine, got = EdgeEngine(tiny_model, slots=12, chunk=32, runner=runner), Collected()
    bound = 30 * BLOCK * tiny_model.card.kv_bytes_per_token
    waiting, running, held = list(texts), set[int](), set[int]()
    away = 0
    while waiting or running or held:
        while len(running) < 12 and (held or waiting):
            burst = rng.choice(sorted(held)) if held and rng.random() < 0.5 else None
            if burst is not None:
                held.discard(burst)
                engine.resume(burst)
            elif waiting:
                burst = waiting.pop(0)
                engine.start(order(burst, texts[burst]))
            else:
                break
            running.add(burst)
        got.add(engine.step())
        running -= got.finish.keys()
        for burst in sorted(running):
            if rng.random() < 0.15:
                engine.preempt(burst)
                running.discard(burst)
                held.add(burst)
        away = max(away, len(list((tmp_path / "kv").glob("*"))))
        assert engine.stats.kv_bytes <= bound
    for burst, text in texts.items():
        assert got.tokens[burst] == reference(tiny_model, text)
    assert away, "nothing had to make room"
    assert engine.stats.kv == {2: engine.stats.kv_bytes}, "what the last one read is kept"
    engine.drop(2)
    assert engine.stats[:3] == (0, 0, {})
    assert not list((tmp_path / "kv").glob("*"))


def test_is_what_can_never_fit_refused_at_once(tiny_model: Any, tmp_path: Path) -> None:
    engine = EdgeEngine(tiny_model, slots=1, runner=paged(tiny_model, tmp_path, blocks=4))
    with pytest.raises(ECONTEXT, match="KV cache"):
        engine.start(order(1, "hi", max_tokens=100))
    engine.start(order(2, "hi", max_tokens=20))
    assert Collected().run(engine).tokens[2] == reference(tiny_model, "hi", 20)


def test_is_kv_that_can_not_be_read_back_computed_again(
    tiny_model: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = paged(tiny_model, tmp_path, blocks=8)
    engine, got = EdgeEngine(tiny_model, slots=2, runner=runner), Collected()
    engine.start(order(1, "a " * 20, max_tokens=30))
    got.add(engine.step())
    engine.preempt(1)
    engine.start(order(2, "b " * 20, max_tokens=30))
    got.add(engine.step())
    (file,) = (tmp_path / "kv").glob("*")
    file.write_bytes(b"garbage")
    engine.resume(1)
    got.run(engine)
    assert "computed again" in caplog.text
    for burst, text in ((1, "a " * 20), (2, "b " * 20)):
        assert got.tokens[burst] == reference(tiny_model, text, 30)


def test_is_all_computed_again_if_a_later_piece_can_not_be_read_back(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.edge.pool._PIECE", 1)
    runner = paged(tiny_model, tmp_path, blocks=8)
    engine, got = EdgeEngine(tiny_model, slots=2, runner=runner), Collected()
    engine.start(order(1, "a " * 20, max_tokens=30))
    got.add(engine.step())
    engine.preempt(1)
    engine.start(order(2, "b " * 20, max_tokens=30))
    got.add(engine.step())
    archive = runner._archive
    files = list(archive._files)
    assert len(files) > 1, "each block is a piece"
    files[-1].path.write_bytes(b"garbage")
    engine.resume(1)
    got.run(engine)
    for burst, text in ((1, "a " * 20), (2, "b " * 20)):
        assert got.tokens[burst] == reference(tiny_model, text, 30)
    engine.drop(2)
    assert runner.kv_bytes == 0, "what was read back of it before is left"


def test_does_one_that_is_in_go_on_though_one_before_it_must_wait(
    tiny_model: Any, tmp_path: Path
) -> None:
    """The second begins as the first, so the third is let in before it, and takes its room."""
    runner = paged(tiny_model, tmp_path, blocks=20)
    engine, got = EdgeEngine(tiny_model, slots=3, chunk=48, runner=runner), Collected()
    texts = {1: "a " * 8, 2: "a " * 8 + "b", 3: "c " * 40}
    for burst, most in ((1, 1), (2, 230), (3, 60)):
        engine.start(order(burst, texts[burst], max_tokens=most))
    for _ in range(400):
        if not engine.busy:
            break
        got.add(engine.step())
    assert not engine.busy, "nobody moves"
    for burst, most in ((1, 1), (2, 230), (3, 60)):
        assert got.tokens[burst] == reference(tiny_model, texts[burst], most)


def test_do_held_ones_with_all_in_common_make_room_too(tiny_model: Any, tmp_path: Path) -> None:
    runner = paged(tiny_model, tmp_path, blocks=16)
    engine, got = EdgeEngine(tiny_model, slots=3, runner=runner), Collected()
    for burst in (1, 2):
        engine.start(order(burst, "a " * 40, max_tokens=20))
        got.add(engine.step())
        got.add(engine.step())
        engine.preempt(burst)
    engine.start(order(3, "b", max_tokens=230))
    for burst in (1, 2):
        engine.resume(burst)
    for _ in range(400):
        if engine.busy:
            got.add(engine.step())
    assert got.tokens[3] == reference(tiny_model, "b", 230)
    for burst in (1, 2):
        assert got.tokens[burst] == reference(tiny_model, "a " * 40, 20)


def test_does_a_full_disk_make_others_wait_and_lose_nobody(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = paged(tiny_model, tmp_path, blocks=8)
    monkeypatch.setattr("drivers.edge.archive.save_file", lambda *_: 1 / 0)
    engine, got = EdgeEngine(tiny_model, slots=3, runner=runner), Collected()
    engine.start(order(1, "a " * 20, max_tokens=30))
    got.add(engine.step())
    engine.preempt(1)
    engine.start(order(2, "b " * 20, max_tokens=30))
    (report,) = engine.step()
    assert report.error is not None
    assert report.error.code == "ENOSPC"
    engine.start(order(2, "b " * 20, max_tokens=30))
    engine.resume(1)
    got.run(engine)
    assert got.tokens[2] == reference(tiny_model, "b " * 20, 30), "it waited for the first"
    assert got.tokens[1] == reference(tiny_model, "a " * 20, 30)
    assert used(engine) == (0, 0)


def test_does_what_one_sequence_spoils_hurt_no_other(
    tiny_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    runner = paged(tiny_model, tmp_path, blocks=8)
    engine = EdgeEngine(tiny_model, slots=1, runner=runner)
    with monkeypatch.context() as patch:
        bad = runner._llama._embedding.clone()
        bad[5:] = float("nan")
        patch.setattr(runner._llama, "_embedding", bad)
        engine.start(order(1, "spoiled by nan", max_tokens=4))
        assert Collected().run(engine).finish[1] == "error"
    for burst, text in enumerate(TEXTS[:5], start=2):
        engine.start(order(burst, text, max_tokens=8))
        assert Collected().run(engine).tokens[burst] == reference(tiny_model, text, 8)
    engine.start(order(9, "spoiled by nan", max_tokens=4))
    assert Collected().run(engine).finish[9] == "length"
    assert not any(torch.isnan(keys).any() for keys in runner._pool._layers)
