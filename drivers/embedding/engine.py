"""The embedding engine: the mean of what a model says of each token, as a vector of length 1.

A text that is longer than the model reads at once is read in windows, and the mean is taken over
the tokens of all of them: nothing is cut off, though a vector for many pages says little. The model
is loaded when the first text comes. It knows nothing about the protocol.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from drivers.embedding.windows import Windows
from drivers.engine import EngineStats
from llmagentos.abi.cards import FREE, ModelCard
from llmagentos.abi.driver import Start, StepReport
from llmagentos.abi.errors import EIO, ENOENT

WINDOW: Final = 256
"""Tokens that the model reads at once. MiniLM could read 512, but was trained on fewer."""

_INPUTS: Final = {"input_ids", "attention_mask", "token_type_ids"}


def card(name: str) -> ModelCard:
    """What is said of it, whether it is loaded or not."""
    return ModelCard(name=name, context_length=WINDOW, dtype="int8", price=FREE, embeds=True)


class EmbeddingEngine:
    """``folder`` has ``model.onnx`` and ``tokenizer.json``. ``threads``: of one text's work."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        self._name = name
        self._folder = folder
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: tuple[Windows, Any] | None = None

    # -- vectors -----------------------------------------------------------------------------

    def embed(self, model: str, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        if model != self._name:
            raise ENOENT(f"this driver has no model {model!r}", hint=f"it has {self._name}")
        windows, session = self._parts()
        vectors, tokens = [], 0
        for text in texts:
            pieces, count = windows.of(text)
            vectors.append(self._vector(session, pieces))
            tokens += count
        return vectors, tokens

    def _vector(self, session: Any, pieces: Sequence[Sequence[int]]) -> list[float]:
        """One piece at a time: in 8 bits all that is read together has one scale, so a text's
        vector would depend on what was read beside it. It takes hardly longer."""
        import numpy as np

        total: Any = 0.0
        for piece in pieces:
            ids = np.array([piece], np.int64)
            given = {
                "input_ids": ids,
                "attention_mask": np.ones_like(ids),
                "token_type_ids": np.zeros_like(ids),
            }
            names = [one.name for one in session.get_inputs()]
            hidden = session.run(None, {name: given[name] for name in names})[0]
            total = total + hidden[0].sum(axis=0, dtype=np.float64)
        length = float(np.sqrt((total * total).sum()))
        return [float(number) for number in total / (length or 1.0)]

    def _parts(self) -> tuple[Windows, Any]:
        """The tokenizer and the model, loaded by whoever comes first."""
        with self._loading:
            if self._loaded is None:
                windows = Windows(self._folder / "tokenizer.json", WINDOW)
                self._loaded = windows, self._session()
            return self._loaded

    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        # Threads that spin while they wait would take the cores from whoever has work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        file = self._folder / "model.onnx"
        try:
            session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library has no common base for its errors
            raise EIO(
                f"{file} can't be loaded: {str(error).splitlines()[0]}",
                hint=f"check its files: llmos models verify {self._name}",
            ) from None
        unknown = sorted({one.name for one in session.get_inputs()} - _INPUTS)
        if unknown or len(session.get_outputs()[0].shape) != 3:
            raise EIO(
                f"{file} is no model that says something of each token of a text",
                hint=f"it wants {', '.join(unknown)}" if unknown else "export one without pooling",
            )
        return session

    # -- no bursts ---------------------------------------------------------------------------

    @property
    def models(self) -> Sequence[ModelCard]:
        return [card(self._name)]

    @property
    def busy(self) -> bool:
        return False

    @property
    def stats(self) -> EngineStats:
        return EngineStats(0, 0)

    def start(self, order: Start) -> StepReport | None:
        raise ENOENT(
            f"this driver has no model {order.model!r} that answers", hint="it only makes vectors"
        )

    def preempt(self, burst: int) -> None:
        """There are no bursts."""

    def resume(self, burst: int) -> None:
        """There are no bursts."""

    def cancel(self, burst: int) -> None:
        """There are no bursts."""

    def clear(self) -> None:
        """There are no bursts."""

    def step(self) -> list[StepReport]:
        return []
