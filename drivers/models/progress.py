"""Progress of a pull, as a callback. It knows nothing about who watches."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work goes on: stage ``stage`` has done ``done`` of ``total`` ``unit``.

    ``total`` 0: not known. Stages, in their order, as far as a source needs them: ``wait``
    (another process pulls the same model), ``lookup`` (asking the index), ``download``,
    ``unpack``, ``copy``, ``convert``, ``check`` (checksums of the finished files). Units are
    ``bytes``, ``files`` and ``steps``.
    """

    def __call__(self, stage: str, done: int, total: int, unit: str) -> None: ...


def silent(stage: str, done: int, total: int, unit: str) -> None:
    """Nobody watches."""
