"""The keyring: whose keys are good now, as the folder of keys says.

The folder is looked at whenever the kernel wakes; so a key that was added or taken away counts at
once, without a word to the kernel. It knows nothing about connections.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from llmagentos.abi.keys import NodeKey
from llmagentos.home import Home
from llmagentos.keys import read_keys

_log = logging.getLogger("kernel")

_TICK: Final = 50_000_000
"""Nanoseconds: changes that are nearer to each other may have the same time on a file system."""


class Keyring:
    def __init__(self, home: Home) -> None:
        self._home = home
        self._keys: dict[str, NodeKey] = {}
        self._seen: int | None = None
        self.look()

    def get(self, public: str) -> NodeKey | None:
        return self._keys.get(public)

    def look(self) -> set[str]:
        """Read the folder, if it has changed. The public keys that are not good any more, or not
        good for the same as before."""
        try:
            changed = self._home.keys.stat().st_mtime_ns
        except OSError:
            changed = -1  # no folder, no keys
        if changed == self._seen:
            return set()
        # What was changed only just now may be changed again without another time: look again.
        self._seen = changed if abs(time.time_ns() - changed) > _TICK else None
        keys, wrong = read_keys(self._home)
        before, self._keys = self._keys, {key.public: key for key in keys}
        if before != self._keys:
            for problem in wrong:
                _log.warning("%s", problem)
        return {public for public, key in before.items() if self._keys.get(public) != key}
