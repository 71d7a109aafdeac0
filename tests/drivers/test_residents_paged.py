"""Does KV of processes that do not run come back in a runner, and to those only who may see it?"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from drivers.edge.blocks import BLOCK
from drivers.edge.engine import EdgeEngine
from drivers.edge.paged import PagedRunner
from drivers.edge.runners import make_runner
from tests.drivers.orders import Collected, order, reference


def paged(model: Any, folder: Path, blocks: int) -> PagedRunner:
    size = BLOCK * model.card.kv_bytes_per_token
    runner = make_runner(model, 8, blocks * size, folder)
    assert isinstance(runner, PagedRunner)
    return runner


def watched(runner: PagedRunner) -> dict[int, list[int]]:
    """How many tokens of each burst a step computes, from now on."""
    read: dict[int, list[int]] = defaultdict(list)
    forward = runner.forward

    def counting(decoding: Any, reading: Any) -> Any:
        logits = forward(decoding, reading)
        for sequence, count in [*((one, 1) for one in decoding), *reading]:
            read[sequence.burst].append(count)
        return logits

    runner.forward = counting  # type: ignore[method-assign]
    return read


def test_is_what_a_process_has_read_found_again_after_it_had_to_make_room(
    tiny_model: Any, tmp_path: Path
) -> None:
    engine = EdgeEngine(tiny_model, 4, runner=paged(tiny_model, tmp_path, 20))
    text = "the quick brown fox " * 8
    engine.start(order(1, text, max_tokens=4))
    Collected().run(engine)
    other = order(2, "a " * 60, max_tokens=150).model_copy(update={"pid": 9})
    engine.start(other)
    assert Collected().run(engine).tokens[2] == reference(tiny_model, "a " * 60, 150)
    assert list(tmp_path.glob("*.safetensors"))
    engine.start(order(3, text, max_tokens=24))
    (report,) = engine.step()
    assert report.cached_tokens >= 2 * BLOCK
    again = Collected()
    again.add([report])
    assert again.run(engine).tokens[3] == reference(tiny_model, text)


def test_is_a_prompt_that_made_room_in_its_middle_not_read_twice(
    tiny_model: Any, tmp_path: Path
) -> None:
    """In the middle of a block, too."""
    runner = paged(tiny_model, tmp_path, 20)
    engine, got = EdgeEngine(tiny_model, 4, BLOCK + 5, runner), Collected()
    engine.start(order(1, "the quick brown fox " * 8))
    got.add(engine.step())
    engine.preempt(1)
    engine.start(order(2, "a " * 60, max_tokens=150).model_copy(update={"pid": 9}))
    got.add(engine.step())
    assert list(tmp_path.glob("*.safetensors"))
    engine.cancel(2)
    read = watched(runner)
    engine.resume(1)
    got.run(engine)
    assert got.tokens[1] == reference(tiny_model, "the quick brown fox " * 8)
    assert sum(read[1]) == got.prompt[1] - (BLOCK + 5) + len(got.tokens[1]) - 1


def test_is_what_others_have_read_meanwhile_found_and_told(tiny_model: Any, tmp_path: Path) -> None:
    runner = paged(tiny_model, tmp_path, 20)
    engine, text = EdgeEngine(tiny_model, 4, 2 * BLOCK, runner), "the quick brown fox " * 8
    read, got, cached = watched(runner), Collected(), 0
    engine.start(order(1, text, max_tokens=2))
    got.add(engine.step())
    engine.preempt(1)
    other = {"pid": 9}
    engine.start(order(2, text, max_tokens=2).model_copy(update=other))
    Collected().run(engine)
    engine.start(order(3, "a " * 60, max_tokens=150).model_copy(update=other))
    engine.step()
    assert list(tmp_path.glob("*.safetensors")), "nothing had to make room"
    engine.cancel(3)
    engine.resume(1)
    while engine.busy:
        got.add(reports := engine.step())
        cached += sum(report.cached_tokens for report in reports)
    assert got.tokens[1] == reference(tiny_model, text, 2)
    assert cached > 0
    assert sum(read[1]) + cached == got.prompt[1] + len(got.tokens[1]) - 1


def test_finds_nobody_on_the_disk_what_others_may_not_see(tiny_model: Any, tmp_path: Path) -> None:
    text = "the quick brown fox " * 8
    for labels in (["private"], []):
        engine = EdgeEngine(tiny_model, 4, runner=paged(tiny_model, tmp_path, 40))
        engine.start(order(1, text).model_copy(update={"labels": labels}))
        (report,) = engine.step()
        assert report.cached_tokens == 0
        engine.preempt(1)
        engine.snapshot(1)
        while engine.busy:
            engine.step()
        assert list(tmp_path.glob("*.safetensors"))


def test_are_commands_for_processes_that_nobody_knows_ignored(
    tiny_model: Any, tmp_path: Path
) -> None:
    engine = EdgeEngine(tiny_model, 1, runner=paged(tiny_model, tmp_path, 40))
    engine.expect(7, 3.0)
    engine.fork(7, 8)
    engine.fork(7, 7)
    engine.drop(7)
    engine.snapshot(5)
    engine.start(order(1, "x", max_tokens=2))
    Collected().run(engine)
    engine.fork(2, 2)
    assert engine.stats.kv == {2: engine.stats.kv_bytes}
    engine.drop(2)
    assert engine.stats[:3] == (0, 0, {})


def test_leaves_a_stopped_burst_nothing_on_the_disk_when_it_is_over(
    tiny_model: Any, tmp_path: Path
) -> None:
    engine, got = EdgeEngine(tiny_model, 1, runner=paged(tiny_model, tmp_path, 40)), Collected()
    for burst in range(1, 4):
        engine.start(order(burst, f"{burst} the quick brown fox", max_tokens=8))
        got.add(engine.step())
        engine.preempt(burst)
        engine.snapshot(burst)
        got.run(engine)
        assert list(tmp_path.glob("*.safetensors"))
        engine.resume(burst)
        got.run(engine)
        engine.drop(2)
        assert not list(tmp_path.glob("*"))


def test_is_what_is_about_to_be_read_not_given_up_for_others(
    tiny_model: Any, tmp_path: Path
) -> None:
    """After a driver's death, with the disk full: one is brought back while another must go."""
    text = "the quick brown fox " * 10
    first = EdgeEngine(tiny_model, 4, runner=paged(tiny_model, tmp_path, 40))
    first.start(order(1, text))
    first.step()
    first.preempt(1)
    first.snapshot(1)
    while first.busy:
        first.step()
    size = sum(file.stat().st_size for file in tmp_path.glob("*"))
    runner = paged(tiny_model, tmp_path, 14)
    runner._archive._most = size + 3 * BLOCK * tiny_model.card.kv_bytes_per_token
    engine, got = EdgeEngine(tiny_model, 4, runner=runner), Collected()
    engine.start(order(2, "a " * 60, max_tokens=40))
    got.add(engine.step())
    engine.preempt(2)
    engine.start(order(3, text))
    for _ in range(300):
        if engine.busy:
            got.add(engine.step())
    engine.resume(2)
    got.run(engine)
    assert got.finish[2] == "length"
    if got.finish[3] != "error":
        assert got.tokens[3] == reference(tiny_model, text)


def test_do_models_that_differ_in_one_weight_share_nothing(tiny_model: Any) -> None:
    import copy

    from drivers.edge.llama import Llama

    other = copy.deepcopy(tiny_model.model)
    with torch.no_grad():
        other.model.layers[1].self_attn.k_proj.weight[0, 0] += 0.5
    assert Llama(other).fingerprint != Llama(tiny_model.model).fingerprint
