"""Does the store keep, list, check and remove models, and take in those that lie elsewhere?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drivers.models import Store, cli, ensure, pull
from llmagentos.abi.errors import EBUSY, EINVAL, EIO, ENOENT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder as transformers writes it, with one tensor."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    made = tmp_path / "elsewhere"
    made.mkdir()
    (made / "model.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + b"8bytes!!"
    )
    (made / "config.json").write_text('{"max_position_embeddings": 99}')
    (made / "tokenizer.json").write_text("{}")
    (made / "pytorch_model.bin").write_bytes(b"code that runs when it is read")
    return made


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[Any]]:
    status = cli.main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert err == ""
    return status, [json.loads(line) for line in out.splitlines()]


def test_is_a_local_folder_taken_in(store_root: Path, folder: Path) -> None:
    path = pull(str(folder), name="mine")
    assert {f.name for f in path.iterdir()} == {
        "config.json",
        "llmos.json",
        "model.safetensors",
        "tokenizer.json",
    }
    record = Store(store_root).record("mine")
    assert record.source == folder.as_uri()
    assert record.converted_from is None
    assert ensure("mine") == path


def test_does_a_taken_name_stay_what_it_is(store_root: Path, folder: Path) -> None:
    pull(str(folder), name="mine")
    with pytest.raises(EBUSY, match="already"):
        pull(str(folder), name="mine")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "safetensors"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer"),
        (lambda f: (f / "model.safetensors").write_bytes(b"short"), "not a safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "not a safetensors"),
        (
            lambda f: (f / "model.safetensors").write_bytes(
                (f / "model.safetensors").read_bytes()[:-3]
            ),
            "header says",
        ),
        (
            lambda f: (f / "model.safetensors.index.json").write_text(
                '{"weight_map": {"w": "model-2.safetensors"}}'
            ),
            "lacks model-2",
        ),
    ],
)
def test_is_a_broken_folder_refused(store_root: Path, folder: Path, spoil: Any, said: str) -> None:
    spoil(folder)
    with pytest.raises(EINVAL, match=said):
        pull(str(folder), name="mine")
    assert Store(store_root).names() == []


def test_does_a_path_need_a_name_and_to_be_there(store_root: Path, tmp_path: Path) -> None:
    with pytest.raises(EINVAL, match="needs a name"):
        pull("./somewhere")
    with pytest.raises(ENOENT, match="there is no"):
        pull(str(tmp_path / "nowhere"), name="x")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(EINVAL, match="gguf"):
        pull(str(tmp_path / "x.txt"), name="x")
    with pytest.raises(EINVAL, match="is a path"):
        ensure("./somewhere")


def test_does_verify_find_a_changed_byte(
    store_root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pull(str(folder), name="mine")
    status, lines = answer(capsys, "verify", "mine")
    assert (status, lines[-1]["ok"]) == (0, True)
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    status, lines = answer(capsys, "verify", "mine")
    assert status == 1
    assert "model.safetensors has changed" in lines[-1]["error"]["message"]
    weights.unlink()
    with pytest.raises(EIO, match="missing"):
        Store(store_root).verify("mine")


def test_do_list_path_and_rm_agree(
    store_root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pull(str(folder), name="org/mine")
    (store_root / "not-a-model").mkdir()
    status, (listing,) = answer(capsys, "list")
    rows = {row["name"]: row for row in listing["models"]}
    assert status == 0
    assert rows["org/mine"]["installed"] is True
    assert rows["smollm2-135m-instruct"]["installed"] is False
    assert rows["smollm2-135m-instruct"]["license"] == "Apache-2.0"
    assert "not-a-model" not in rows
    _, (found,) = answer(capsys, "path", "org/mine")
    assert Path(found["path"]).is_dir()
    assert found["path"] == rows["org/mine"]["path"]
    assert answer(capsys, "rm", "org/mine")[0] == 0
    assert not Path(found["path"]).exists()
    status, (gone,) = answer(capsys, "path", "org/mine")
    assert (status, gone["error"]["code"]) == (2, "ENOENT")


def test_are_errors_sentences_with_hints(
    store_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["pull", "nobody"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "hint: known: all-minilm-l6-v2, smollm2-135m-instruct" in err


def test_is_a_hub_model_refused_clearly_without_a_network(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", offline)
    with pytest.raises(EIO, match="Name or service not known") as failed:
        pull("org/model")
    assert "network" in failed.value.hint


def test_is_listing_light(store_root: Path) -> None:
    script = (
        "import sys; from drivers.models import cli; cli.main(['list', '--json'])\n"
        "heavy = {'torch', 'transformers', 'requests', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_does_a_gguf_file_become_a_model(store_root: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_tiny_gguf(tmp_path / "tiny.gguf")
    path = pull(str(tmp_path / "tiny.gguf"), name="tiny")
    record = Store(store_root).record("tiny")
    assert (record.converted_from, record.license) == ("gguf", "mit")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    assert model.config.max_position_embeddings == 64
    assert getattr(model.config, "quantization_config", None) is None
    assert torch.equal(model.model.norm.weight, torch.full((32,), 1.5, dtype=torch.bfloat16))
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert tokenizer.decode(tokenizer.encode("ab ba")) == "ab ba"


def write_tiny_gguf(path: Path) -> None:
    import numpy as np
    from gguf import GGUFWriter
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    tokens = ["<|end|>", *alphabet, "ab"]
    rng = np.random.default_rng(1)
    writer = GGUFWriter(path, "llama")
    writer.add_license("mit")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    shapes = {
        "token_embd": (len(tokens), 32),
        "blk.0.attn_q": (32, 32),
        "blk.0.attn_k": (16, 32),
        "blk.0.attn_v": (16, 32),
        "blk.0.attn_output": (32, 32),
        "blk.0.ffn_gate": (64, 32),
        "blk.0.ffn_up": (64, 32),
        "blk.0.ffn_down": (32, 64),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.full(32, 1.5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
