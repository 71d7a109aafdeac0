"""A GGUF file becomes a folder that transformers loads: bf16 safetensors and a tokenizer.

Once, when a model is pulled: dequantising takes most of a minute, loading the result a
second. bf16 keeps more than a 4-bit file ever had, in half the room of fp32. It knows nothing
about the store.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from drivers.huggingface import local_transformers
from drivers.models.progress import Progress
from llmagentos.abi.errors import EIO, ENOSYS


def convert_gguf(gguf: Path, folder: Path, progress: Progress) -> str:
    """Write the model in ``gguf`` into ``folder``; returns the licence that the file names."""
    progress("convert", 0, 4, "steps")
    try:
        import torch

        transformers = local_transformers()
    except ImportError as error:
        raise ENOSYS(
            f"a GGUF file can't be converted without the package {error.name!r}",
            hint='install the edge extra: pip install "llmagentos[edge]"',
        ) from None
    progress("convert", 1, 4, "steps")
    where = {"gguf_file": gguf.name, "local_files_only": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **where)
        quantised = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent, dtype=torch.bfloat16, **where
        )
    except (ValueError, KeyError, OSError, RuntimeError, ImportError, NotImplementedError) as error:
        raise EIO(
            f"{gguf.name} can't be read as a model: {str(error).splitlines()[0]}",
            hint="transformers does not know every GGUF architecture; a safetensors folder works",
        ) from error
    progress("convert", 2, 4, "steps")
    plain = _without_quantisation(transformers, quantised, torch.bfloat16)
    progress("convert", 3, 4, "steps")
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    progress("convert", 4, 4, "steps")
    return _license(gguf)


def _without_quantisation(transformers: Any, quantised: Any, dtype: Any) -> Any:
    """The same weights in a model whose configuration does not say that it is quantised.

    Saving the loaded one writes a ``quantization_config`` that no reader can use.
    """
    config = copy.deepcopy(quantised.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    plain.load_state_dict(quantised.state_dict())
    plain.generation_config = quantised.generation_config
    return plain


def _license(gguf: Path) -> str:
    from gguf import GGUFReader

    field = GGUFReader(gguf).get_field("general.license")
    return str(field.contents()) if field is not None else ""
