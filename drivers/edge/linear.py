"""A linear layer as fast as the machine at hand multiplies.

On a CPU the weights are packed once in the order in which oneDNN reads them: for a few rows that
halves the time, since else they are put in order at every product. It knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch.nn.functional import linear

_ROWS: Final = 16
"""Of the input that the packing is made for; others are only a little slower."""


class Linear:
    """``parts``: weights, [out, in] each, that are applied together and give one output after the
    other; ``biases``: [out] of each, or none at all."""

    def __init__(
        self, parts: Sequence[torch.Tensor], biases: Sequence[torch.Tensor] | None = None
    ) -> None:
        weight = torch.cat([part.detach() for part in parts]).contiguous()
        self._bias = torch.cat([part.detach() for part in biases]) if biases else None
        self._packed = _can_pack(weight)
        if self._packed:
            weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self._weight = weight

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None = None) -> torch.Tensor:
        """[rows, in] to [rows, out], with ``add`` [rows, out] added."""
        if not self._packed:
            result = linear(x, self._weight, self._bias)
            return result if add is None else result.add_(add)
        product = torch.ops.mkldnn._linear_pointwise
        packed: torch.Tensor
        if add is not None:
            packed = product.binary(x, add, self._weight, self._bias, "add")
        else:
            packed = product(x, self._weight, self._bias, "none", [], "")
        return packed


def _can_pack(weight: torch.Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32
