"""How OpenVINO behaves inside our processes: it tells nobody anything.

It knows nothing about models, nor about what is done with the library.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


def local_openvino() -> tuple[ModuleType, ModuleType]:
    """``openvino`` and ``openvino_genai``, imported without their telemetry."""
    if "openvino" not in sys.modules:
        # `openvino` imports its converter with it, and that reports its use to the maker. No
        # variable turns this off; but the converter does without the package if there is none.
        absent: dict[str, Any] = sys.modules  # typed as if it never held None
        absent["openvino_telemetry"] = None
    import openvino
    import openvino_genai

    return openvino, openvino_genai
