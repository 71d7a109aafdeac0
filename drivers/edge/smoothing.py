"""Smoothing: which numbers to divide activations by, and multiply weights with, before rounding.

A few channels of a model are far larger than all others, and a row that is rounded as a whole has
nothing left for the small ones. So a part of that is moved into the weights, which have a scale for
each output (SmoothQuant, Xiao et al. 2023). How large the channels are shows when a text of any
tokens is read once. It knows nothing about how anything is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch

_TOKENS: Final = 256
_LEAST: Final = 1e-5


class Smoothing:
    """``model``: of transformers; ``inputs``: its modules whose input is to be known."""

    @torch.no_grad()
    def __init__(self, model: Any, inputs: Iterable[Any]) -> None:
        self._largest: dict[Any, torch.Tensor] = {}
        hooks = [module.register_forward_pre_hook(self._look) for module in inputs]
        most = min(_TOKENS, int(model.config.max_position_embeddings))
        tokens = torch.linspace(0, model.config.vocab_size - 1, most).long()
        try:
            model(input_ids=tokens[None], use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()

    def _look(self, module: Any, given: tuple[torch.Tensor, ...]) -> None:
        self._largest[module] = given[0].detach().float().abs().flatten(0, -2).amax(0)

    def of(self, module: Any, weights: torch.Tensor) -> torch.Tensor:
        """For what comes into this module and is multiplied with these weights, [out, in]: [in]."""
        given = self._largest[module].clamp_min(_LEAST)
        return (given / weights.float().abs().amax(0).clamp_min(_LEAST)).sqrt_()
