"""A linear layer as fast as the machine at hand multiplies.

On a CPU the weights are packed once in the order in which oneDNN reads them: for a few rows that
halves the time, since else they are put in order at every product. For a row or two the time is
that of reading the weights, so in bf16 there is a copy with 8 bits for each of them, rounded for
each output by itself, as in Q8_0. It knows nothing about models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch.nn.functional import linear

_ROWS: Final = 16
"""Of the input that the packing is made for; others are only a little slower."""
_FEW: Final = 2
"""Rows up to which the weights of 8 bits are faster; measured with two threads on a Zen 4."""


class Linear:
    """``parts``: weights, [out, in] each, that are applied together and give one output after the
    other; ``biases``: [out] of each, or none at all. ``int8``: with a copy for a row or two."""

    def __init__(
        self,
        parts: Sequence[torch.Tensor],
        biases: Sequence[torch.Tensor] | None = None,
        *,
        int8: bool = False,
    ) -> None:
        weight = torch.cat([part.detach() for part in parts]).contiguous()
        self._bias = torch.cat([part.detach() for part in biases]) if biases else None
        self._packed = _can_pack(weight)
        self._int8: tuple[torch.Tensor, torch.Tensor] | None = None
        if self._packed:
            if int8 and weight.dtype == torch.bfloat16:
                self._int8 = _rounded(weight)
            weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self._weight = weight

    def __call__(self, x: torch.Tensor, add: torch.Tensor | None = None) -> torch.Tensor:
        """[rows, in] to [rows, out], with ``add`` [rows, out] added."""
        if self._packed and (self._int8 is None or len(x) > _FEW):
            return self._product(x, add)
        if self._int8 is not None:
            result = torch._weight_int8pack_mm(x, *self._int8)
            if self._bias is not None:
                result.add_(self._bias)
        else:
            result = linear(x, self._weight, self._bias)
        return result if add is None else result.add_(add)

    def _product(self, x: torch.Tensor, add: torch.Tensor | None) -> torch.Tensor:
        product = torch.ops.mkldnn._linear_pointwise
        result: torch.Tensor
        if add is not None:
            result = product.binary(x, add, self._weight, self._bias, "add")
        else:
            result = product(x, self._weight, self._bias, "none", [], "")
        return result


def _rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers from -127 to 127, [out, in], and what they are to be multiplied by, [out]."""
    wide = weight.float()
    scale = wide.abs().amax(dim=1).clamp_min_(1e-12).div_(127).bfloat16()
    whole = (wide / scale.float()[:, None]).round_().clamp_(-127, 127)
    return whole.to(torch.int8), scale


def _can_pack(weight: torch.Tensor) -> bool:
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32
