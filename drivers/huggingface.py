"""How the Hugging Face libraries behave inside our processes: offline, and silent.

A driver's stderr is its log and a pull's stdout is a contract, so neither may carry foreign
progress bars; and loading a local model must never reach for the network. It knows nothing
about models, nor about what is done with the libraries.
"""

from __future__ import annotations

import os
from types import ModuleType


def local_transformers() -> ModuleType:
    """``transformers``, imported so that it stays offline and quiet."""
    # Read once, when the libraries are imported; so before that.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers
