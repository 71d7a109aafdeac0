"""Weights: a model's safetensors become a GGUF file with 8 bits a weight.

That is the one format which OpenVINO GenAI builds a model from by itself, without a converter of
its own. Not the GGUF file that the model may once have come as: OpenVINO reads the offsets of
``Q4_1`` from the wrong place. Matrices become ``Q8_0``, and all else stays as it is, in fp32. It
knows nothing about where the file lies, nor about what reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from llmagentos.abi.errors import ENOSYS

ARCHITECTURES: Final = ("llama",)
"""``model_type`` of those that can be converted, which GGUF calls the same."""

_BLOCK: Final = 32
"""Weights that share a scale in Q8_0."""

_FILE_TYPE: Final = 7
"""What GGUF calls a file that is mostly Q8_0."""


def check_architecture(config: dict[str, Any]) -> None:
    """``ENOSYS`` for a model that would be converted into something else than it is."""
    kind = config.get("model_type")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    size = config.get("head_dim") or 0
    if kind not in ARCHITECTURES:
        why = f"a {kind!r} model"
    elif rope.get("rope_type", "default") != "default":
        why = f"positions of type {rope['rope_type']!r}"
    elif size and size * config["num_attention_heads"] != config["hidden_size"]:
        why = "heads that are not a part of the hidden size each"
    elif config.get("hidden_act", "silu") != "silu":
        why = f"the activation {config['hidden_act']!r}"
    else:
        return
    raise ENOSYS(
        f"the OpenVINO driver can't serve {why}",
        hint=f"it serves plain {', '.join(ARCHITECTURES)} models; the edge driver serves others",
    )


def write_gguf(folder: Path, target: Path, progress: Callable[[float], None]) -> None:
    """The model in ``folder`` as ``target``. ``progress`` from 0 to 1."""
    import gguf
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    check_architecture(config)
    layers = int(config["num_hidden_layers"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    writer = gguf.GGUFWriter(target, config["model_type"])
    _write_shape(writer, config)
    files = sorted(folder.glob("*.safetensors"))
    for number, file in enumerate(files):
        with safe_open(file, "pt") as tensors:  # numpy has no bf16
            keys = list(tensors.keys())
            for done, key in enumerate(keys):
                progress((number + done / len(keys)) / len(files))
                if key == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise ENOSYS(
                        f"the OpenVINO driver knows no tensor {key!r}",
                        hint="serve this model by the edge driver",
                    )
                _add(writer, name, _ordered(key, tensors.get_tensor(key).float().numpy(), config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_shape(writer: Any, config: dict[str, Any]) -> None:
    heads = int(config["num_attention_heads"])
    rope = config.get("rope_parameters") or config
    writer.add_file_type(_FILE_TYPE)
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10_000.0)))


def _ordered(key: str, tensor: Any, config: dict[str, Any]) -> Any:
    """Queries and keys as GGUF orders them: the two halves of a head that are turned against
    each other lie in pairs there, and one after the other in transformers."""
    heads = int(config["num_attention_heads"])
    if ".k_proj." in key:
        heads = int(config.get("num_key_value_heads") or heads)
    elif ".q_proj." not in key:
        return tensor
    rows, *rest = tensor.shape
    halves = tensor.reshape(heads, 2, rows // heads // 2, *rest)
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _add(writer: Any, name: str, tensor: Any) -> None:
    import gguf

    if tensor.ndim == 2 and tensor.shape[1] % _BLOCK == 0:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, tensor)
