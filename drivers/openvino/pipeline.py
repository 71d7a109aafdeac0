"""The pipeline: OpenVINO GenAI's continuous batching, as far as we use it.

Token ids in, token ids out; of a tokenizer it only needs to know what guided answers consist of.
It can be made anew from nothing, for when one has failed in the middle of a step. It knows nothing
about bursts.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final, Literal

from drivers.checks import kv_room
from drivers.openvino.prefixes import BLOCK
from drivers.openvino.quiet import local_openvino
from llmagentos.abi.errors import ECONTEXT, EDRIVER, LLMOSError

_CHUNK: Final = 256
"""Tokens of prompts that one step reads, beside one for each sequence in its answer."""


_ACTIVATIONS: Final = {"float32": 0, "int8": 32}
"""How many activations share a scale when they are multiplied; 0: they are not quantised."""

Activations = Literal["float32", "int8"]


class Request:
    """One answer that the pipeline is at."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def take(self) -> list[int]:
        """The tokens that came since the last time."""
        tokens: list[int] = []
        while self._handle.can_read():
            for output in self._handle.read().values():
                tokens += output.generated_ids
        return tokens

    def problem(self) -> LLMOSError | None:
        """Why no more tokens will come, if that is so and was not wanted."""
        _, genai = local_openvino()
        status = self._handle.get_status()
        if status == genai.GenerationStatus.RUNNING:
            return None
        if status == genai.GenerationStatus.IGNORED:
            return ECONTEXT(
                "the KV cache is full",
                hint="give the driver more --kv-bytes, or fewer --slots",
            )
        return EDRIVER(f"OpenVINO ended the answer too early ({status.name})")

    def cancel(self) -> None:
        self._handle.cancel()


class Pipeline:
    """``file``: the converted model; ``bytes_per_token``: of its KV; ``share``: may prompts use
    what was computed for others that begin alike?

    ``activations``: int8 is about twice as fast for prompts and for many sequences at once, and
    parts earlier from what the exact model says. ``words``: a tokenizer of OpenVINO's; without it
    no answer can be guided.
    """

    def __init__(
        self,
        file: Path,
        bytes_per_token: int,
        slots: int,
        *,
        kv_bytes: int | None = None,
        threads: int | None = None,
        activations: Activations = "int8",
        share: bool = True,
        words: Any = None,
    ) -> None:
        _, genai = local_openvino()
        self.bytes_per_token = bytes_per_token
        self.blocks = max(2, (kv_bytes or kv_room()) // (bytes_per_token * BLOCK))
        self._file = file
        self._words = words
        self._scheduler = genai.SchedulerConfig()
        self._scheduler.num_kv_blocks = self.blocks
        self._scheduler.max_num_batched_tokens = _CHUNK + slots
        self._scheduler.max_num_seqs = slots
        self._scheduler.dynamic_split_fuse = True
        self._scheduler.enable_prefix_caching = share
        self._properties: dict[str, Any] = {
            # Pinned threads of two drivers would share the first cores, and leave the others idle.
            "ENABLE_CPU_PINNING": False,
            # By default bf16, where the CPU has it, and 8 bits: no faster, and less exact.
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f16",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _ACTIVATIONS[activations],
        }
        if threads:
            self._properties |= {"INFERENCE_NUM_THREADS": threads, "sampler_num_threads": threads}
        self._numbers = itertools.count()
        self._pipeline: Any = None
        self.restart()

    @property
    def most(self) -> int:
        """How many tokens one sequence can have."""
        return self.blocks * BLOCK

    @property
    def guides(self) -> bool:
        return self._words is not None

    @staticmethod
    def blocks_for(tokens: int) -> int:
        return -(-tokens // BLOCK)

    def restart(self) -> None:
        """Forget all requests and all that was computed."""
        _, genai = local_openvino()
        self._pipeline = None  # its memory is needed for the next one
        words = self._words or _no_tokenizer(genai, self._file)
        self._pipeline = genai.ContinuousBatchingPipeline(
            self._file, words, self._scheduler, "CPU", **self._properties
        )

    def add(self, tokens: list[int], config: Any) -> Request:
        openvino, _ = local_openvino()
        if self._pipeline is None:  # the last attempt to make one failed
            self.restart()
        ids = openvino.Tensor(_ids(tokens))
        return Request(self._pipeline.add_request(next(self._numbers), ids, config))

    def step(self) -> None:
        self._pipeline.step()


def _no_tokenizer(genai: Any, file: Path) -> Any:
    """It wants one, and takes what it finds in a folder that has none."""
    return genai.Tokenizer(file.parent)


def _ids(tokens: list[int]) -> Any:
    import numpy

    return numpy.array([tokens], dtype=numpy.int64)
