"""The sampler: which token comes next, given the logits.

Its randomness is counted, not kept: draw ``i`` of a seed is the same number on every machine
and in any order, so a burst that goes on elsewhere goes on with the tokens it would have got.
It knows nothing about sequences; nothing of one call is left for the next.
"""

from __future__ import annotations

import hashlib
import struct

import torch

from llmagentos.abi.errors import EDRIVER
from llmagentos.abi.manifest import Sampling


def uniform(seed: int, index: int) -> float:
    """Number ``index`` of the random sequence ``seed``, in [0, 1)."""
    digest = hashlib.blake2b(struct.pack("<QQ", seed, index), digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11) * 2.0**-53


def choose(logits: torch.Tensor, sampling: Sampling, *, seed: int, index: int) -> int:
    """The token for one sequence. ``logits``: [vocabulary]; ``index``: the token's place in
    the answer. Temperature first, then top-k, then top-p, as transformers does it."""
    best = int(logits.argmax())
    if not bool(torch.isfinite(logits[best])):
        raise EDRIVER("the model gave no finite logits", hint="try --dtype float32")
    if sampling.temperature == 0:
        return best
    # double and on the CPU: sums of 50,000 small numbers, and the same ones on every device
    scores = logits.detach().to("cpu", torch.float64)
    scores, tokens = torch.sort(scores, descending=True, stable=True)
    if sampling.top_k:
        scores, tokens = scores[: sampling.top_k], tokens[: sampling.top_k]
    # The largest is taken off before dividing, so that no temperature overflows.
    weights = torch.softmax((scores - scores[0]) / sampling.temperature, dim=0)
    reached = torch.cumsum(weights, dim=0)
    if sampling.top_p < 1:
        # Those before which less than top_p was reached: the one that crosses it is kept.
        kept = int(torch.searchsorted(reached, sampling.top_p)) + 1
        reached = reached[:kept]
    place = torch.searchsorted(reached, uniform(seed, index) * float(reached[-1]), right=True)
    return int(tokens[min(int(place), len(reached) - 1)])
