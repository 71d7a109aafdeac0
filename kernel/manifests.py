"""Manifests: each kept once, however many processes run it.

It knows nothing about what they say.
"""

from __future__ import annotations

from typing import Final

from kernel.effects import Put, Row
from kernel.records import manifest_from, manifest_text
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.manifest import Manifest
from llmagentos.abi.wire import MAX_BODY

_REMEMBERED: Final = 1000

_MOST: Final = MAX_BODY // 2
"""Bytes: it must fit into the message that gives a process to its host."""


class Manifests:
    def __init__(self) -> None:
        self._known: dict[str, Manifest] = {}

    def restore(self, texts: dict[str, str]) -> dict[str, Manifest]:
        """After a boot: those that processes run, by name."""
        self._known = {name: manifest_from(text) for name, text in texts.items()}
        return dict(self._known)

    def keep(self, manifest: Manifest) -> tuple[str, Manifest, list[Row]]:
        """Its name on the disk, the one record of it that all share, and the rows to write. Raises
        ``EINVAL`` for one that is too large for its host."""
        name, text = manifest_text(manifest)
        size = len(text.encode())
        if size > _MOST:
            raise EINVAL(
                f"the manifest takes {size:,} bytes; the most is {_MOST:,}",
                hint="a shorter prompt, or fewer capabilities",
            )
        known = self._known.get(name)
        if known is not None:
            return name, known, []
        while len(self._known) >= _REMEMBERED:
            # Only forgotten here: it is written again, to no harm, when it comes again.
            del self._known[next(iter(self._known))]
        self._known[name] = manifest
        return name, manifest, [Put("manifests", {"hash": name, "text": text})]
