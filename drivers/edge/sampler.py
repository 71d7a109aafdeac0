"""The sampler: which token comes next, given the logits.

Its randomness is counted, not kept: draw ``i`` of a seed is the same number on every machine
and in any order, so a burst that goes on elsewhere goes on with the tokens it would have got.
It knows nothing about sequences; nothing of one call is left for the next.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from collections.abc import Sequence

import torch

from llmagentos.abi.errors import EDRIVER
from llmagentos.abi.manifest import Sampling


def uniform(seed: int, index: int) -> float:
    """Number ``index`` of the random sequence ``seed``, in [0, 1)."""
    digest = hashlib.blake2b(struct.pack("<QQ", seed, index), digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11) * 2.0**-53


def is_plain(sampling: Sampling) -> bool:
    """Whether the likeliest token that may come is what comes next, whatever was before."""
    return sampling.temperature == 0 and not _penalizes(sampling)


def choose(
    logits: torch.Tensor,
    sampling: Sampling,
    *,
    seed: int,
    index: int,
    prompt: Sequence[int] = (),
    answer: Sequence[int] = (),
    allowed: torch.Tensor | None = None,
) -> int:
    """The token for one sequence. ``logits``: [vocabulary]; ``index``: the token's place in the
    ``answer``; ``allowed``: [vocabulary], bool, what its grammar lets come next. Penalties first,
    then temperature, top-k, top-p and min-p, as transformers does it."""
    if _penalizes(sampling):
        logits = _penalized(logits, sampling, prompt, answer)
    if allowed is not None:
        logits = logits.masked_fill(~allowed.to(logits.device), float("-inf"))
    best = int(logits.argmax())
    check_finite(float(logits[best]))
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
        weights, reached = weights[:kept], reached[:kept]
    if sampling.min_p > 0:
        reached = reached[: int((weights >= sampling.min_p * weights[0]).sum())]
    draw = uniform(seed, index) * float(reached[-1])
    place = int(torch.searchsorted(reached, draw, right=True))
    return int(tokens[min(place, len(reached) - 1)])


def check_finite(logit: float) -> None:
    """Raises ``EDRIVER`` if the likeliest token's logit is no number."""
    if not math.isfinite(logit):
        raise EDRIVER("the model gave no finite logits", hint="try --dtype float32")


def logprobs(logits: torch.Tensor, token: int, most: int) -> list[tuple[int, float]]:
    """The ``token`` and its logarithm of probability, and after it the ``most`` likeliest ones.
    ``logits``: [vocabulary], as the model gave them."""
    scores = torch.log_softmax(logits.double(), dim=0)
    found = [(token, float(scores[token]))]
    if most:
        values, tokens = torch.topk(scores, min(most, len(scores)))
        found += zip(tokens.tolist(), values.tolist(), strict=True)
    return found


def _penalizes(sampling: Sampling) -> bool:
    return (
        sampling.repetition_penalty != 1
        or sampling.presence_penalty != 0
        or sampling.frequency_penalty != 0
    )


def _penalized(
    logits: torch.Tensor, sampling: Sampling, prompt: Sequence[int], answer: Sequence[int]
) -> torch.Tensor:
    logits = logits.clone()
    if sampling.repetition_penalty != 1:
        # Keskar et al., CTRL (2019): what is likely is divided, what is unlikely multiplied.
        seen = torch.tensor(sorted({*prompt, *answer}), device=logits.device)
        scores, penalty = logits[seen], sampling.repetition_penalty
        logits[seen] = torch.where(scores > 0, scores / penalty, scores * penalty)
    counts = Counter(answer)
    if counts and (sampling.presence_penalty or sampling.frequency_penalty):
        said = torch.tensor(list(counts), device=logits.device)
        often = torch.tensor(list(counts.values()), device=logits.device, dtype=logits.dtype)
        logits[said] -= sampling.presence_penalty + sampling.frequency_penalty * often
    return logits
