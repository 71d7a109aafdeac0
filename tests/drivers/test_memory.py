"""Does a step find the memory again that the one before it has freed?"""

from __future__ import annotations

import ctypes
import json
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from drivers.edge.llama import Llama
from drivers.edge.loader import emptied, load_model
from drivers.edge.memory import Ceiling, keep_freed
from drivers.edge.pool import Pool, Shape

FAULTS = """
import resource, torch
from drivers.edge.memory import keep_freed
keep_freed()
large = torch.ones(6 << 20, dtype=torch.uint8)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
# Three at once: glibc by itself keeps twice the largest that was freed. The first rounds lay out
# the heap.
for _ in range(10):
    (large + 1, large + 2, large + 3)
before = faults()
for _ in range(20):
    (large + 1, large + 2, large + 3)
print(faults() - before)
"""


TOUCHED_ONCE = 3 * (6 << 20) // resource.getpagesize()
"""Pages of what a round takes."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc's")
def test_is_memory_that_was_freed_used_again() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("it is glibc's")
    # Without it there are up to 13 times as many, in most runs: it depends on what lies on top.
    program = [sys.executable, "-c", FAULTS]
    done = subprocess.run(program, capture_output=True, check=True, timeout=200)
    assert int(done.stdout) <= TOUCHED_ONCE


def test_does_another_c_library_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.edge.memory.ctypes.CDLL", lambda name: SimpleNamespace())
    assert not keep_freed()


@pytest.fixture(scope="module")
def wide_folder(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with much KV for its size, as it lies in the store: 64 KiB a token."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer), hidden_size=128, intermediate_size=128,
        num_hidden_layers=8, num_attention_heads=16, num_key_value_heads=16, head_dim=64,
        max_position_embeddings=512, bos_token_id=None,
        eos_token_id=tiny_tokenizer.eos_token_id, pad_token_id=tiny_tokenizer.eos_token_id,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("wide")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
@pytest.mark.parametrize("family", ["Llama", "Qwen3"])
def test_is_a_model_file_let_go_that_was_read(
    tiny_tokenizer: Any, tmp_path: Path, family: str
) -> None:
    import transformers

    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=32, head_dim=16,
        num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, dtype="bfloat16",
        bos_token_id=None, eos_token_id=tiny_tokenizer.eos_token_id,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        getattr(transformers, f"{family}ForCausalLM")(config).bfloat16().save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)

    def mapped() -> bool:
        return str(tmp_path) in Path("/proc/self/maps").read_text(encoding="ascii")

    loaded = load_model("tiny", tmp_path, "bfloat16", "cpu")
    assert mapped(), "else there is nothing to let go"
    llama = Llama(loaded.model)
    emptied(loaded)
    assert not mapped()
    assert llama.shape.layers == 1


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="it is Linux's"
)
@pytest.mark.parametrize(("blocks", "flag"), [(64, "nh"), (8192, "hg")])
def test_is_a_small_pool_in_small_pages_whatever_the_rule(blocks: int, flag: str) -> None:
    # Else the first block would fill two megabytes, and be over the ceiling for ever.
    pool = Pool(Shape(2, 2, 16), blocks, torch.float32, torch.device("cpu"))
    at = pool._layers[0].data_ptr()
    here = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            here = int(found[1], 16) <= at < int(found[2], 16)
        elif here and line.startswith("VmFlags:"):
            assert flag in line.split()
            return
    raise AssertionError("it is nowhere")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_is_no_more_memory_taken_than_the_kv_may_have(wide_folder: Path) -> None:
    # 64 agents that want 10 times as much: steps of ever new shapes, and KV on the disk.
    program = [
        sys.executable, "benchmarks/memory.py", "--model", "wide", "--folder", str(wide_folder),
        "--dtype", "float32", "--kv-bytes", str(64 << 20), "--words", "60", "--answer", "24",
        "--rounds", "1",
    ]  # fmt: skip
    found = json.loads(subprocess.run(program, capture_output=True, check=True, timeout=290).stdout)
    assert found["finish"] == {"length": 64}
    assert found["kv"] > 60 << 20, "the KV was never full"
    assert found["most"] > found["begun"] + 0.8 * (64 << 20), "the warm-up wrote into the KV"
    # 5 % are promised, and measured on a real model (benchmarks/kv.py). This one is so small that
    # what varies from run to run is some 2 % of its KV, and more where the machine is short of
    # memory and takes pages of programs away for a while. Without bounds it was 45 % more.
    assert found["most"] <= found["begun"] + 1.2 * (64 << 20)
    assert found["allowed"] == pytest.approx(found["begun"] + 1.05 * (64 << 20), abs=1 << 20)


def test_is_what_is_free_given_back_only_over_the_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = [1000 << 20], []
    monkeypatch.setattr("drivers.edge.memory.resident", lambda: now[0])
    monkeypatch.setattr("drivers.edge.memory.give_back", lambda: given.append(now[0] >> 20))
    ceiling = Ceiling(100 << 20)
    assert ceiling.most == 1105 << 20
    for resident, used in [(1050, 50), (1052, 50), (1053, 50), (1102, 100)]:
        now[0] = resident << 20
        ceiling.hold(used << 20)
    assert given == [1053], "soon after one time there is no other"
    for _ in range(8):
        now[0] = 1104 << 20
        ceiling.hold(100 << 20)
    assert given == [1053, 1104]


def test_is_what_is_not_free_asked_for_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now, step, given = [1000 << 20], [0], list[int]()
    monkeypatch.setattr("drivers.edge.memory.resident", lambda: now[0])
    monkeypatch.setattr("drivers.edge.memory.give_back", lambda: given.append(step[0]))
    ceiling = Ceiling(100 << 20)
    now[0] = 1200 << 20  # grammars, say
    for number in range(1000):
        step[0] = number
        ceiling.hold(100 << 20)
    assert given == [0, 16, 48, 112, 240, 496, 752]
    now[0] = 1104 << 20
    for number in range(1000, 1100):
        step[0] = number
        ceiling.hold(100 << 20)
    assert given[7:9] == [1008, 1016], "it is of use again"


def test_does_a_ceiling_of_nobody_knows_what_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.edge.memory._STATM", Path("/nowhere"))
    ceiling = Ceiling(1)
    ceiling.hold(0)
    assert ceiling.most is None
