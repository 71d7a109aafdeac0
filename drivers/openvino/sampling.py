"""Sampling: how OpenVINO is told which token to choose, and where to stop.

It knows nothing about pipelines; texts are none of OpenVINO's business here.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from drivers.edge.sequence import Sequence
from drivers.openvino.quiet import local_openvino


def generation_config(sequence: Sequence, eos: frozenset[int]) -> Any:
    """For the tokens that are still to come."""
    _, genai = local_openvino()
    wanted = sequence.order.sampling
    config = genai.GenerationConfig()
    # It ends by itself where the sequence will find that it has ended, so that no further token
    # is computed; stop strings it is not told of.
    config.set_eos_token_id(min(eos, default=0))
    config.stop_token_ids = set(eos)
    config.ignore_eos = not eos
    config.max_new_tokens = sequence.left
    config.repetition_penalty = wanted.repetition_penalty
    config.presence_penalty = wanted.presence_penalty
    config.frequency_penalty = wanted.frequency_penalty
    config.do_sample = wanted.temperature > 0
    if config.do_sample:
        config.temperature = wanted.temperature
        config.top_p = wanted.top_p
        config.min_p = wanted.min_p
        if wanted.top_k:
            config.top_k = wanted.top_k
        config.rng_seed = _seed(sequence.seed, len(sequence.tokens))
    return config


def _seed(seed: int, index: int) -> int:
    """OpenVINO counts draws from where a request begins. One that begins in the middle of an
    answer must not draw again what that answer began with."""
    digest = hashlib.blake2b(struct.pack("<QQ", seed, index), digest_size=4).digest()
    return int.from_bytes(digest, "little")
