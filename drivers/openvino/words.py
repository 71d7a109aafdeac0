"""Words: a model's tokenizer as OpenVINO takes it, so that it knows what each token stands for.

It needs that for guiding answers only; it is never asked to read or write any. It knows nothing
about models.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from drivers.openvino.quiet import local_openvino

log = logging.getLogger("driver")


def words_of(tokenizer: Any) -> Any | None:
    """None, if there is no converting it: then answers are not guided. Takes about a second."""
    openvino, genai = local_openvino()
    try:
        from openvino_tokenizers import convert_tokenizer

        parts = convert_tokenizer(tokenizer, with_detokenizer=True)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part, place in zip(parts, ("tokenizer", "detokenizer"), strict=True):
                openvino.save_model(part, folder / f"openvino_{place}.xml")
            return genai.Tokenizer(folder)
    except Exception as error:  # it is made for some tokenizers, and fails for others as it likes
        log.warning("calls of tools go unguided: %s", str(error).splitlines()[0])
        return None
