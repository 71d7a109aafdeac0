"""What a person has set for the TUI, in ``LLMOS_HOME/tui.yaml``: the theme, and keys.

    theme: llmos-light
    keys: {processes.kill: "ctrl+k", anywhere.quit: "ctrl+q"}

It knows nothing about which keys and themes there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from llmagentos.abi.errors import EINVAL
from llmagentos.home import Home


@dataclass(slots=True)
class Settings:
    theme: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def file(home: Home) -> Path:
        return home.root / "tui.yaml"

    @classmethod
    def load(cls, home: Home) -> Settings:
        """Raises ``EINVAL``."""
        file = cls.file(home)
        try:
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
            words = " ".join(str(error).split())[:200]
            raise EINVAL(f"{file} can't be read: {words}", hint="mend or delete it") from None
        document = document or {}
        theme = (document.get("theme") or "") if isinstance(document, dict) else None
        keys = (document.get("keys") or {}) if isinstance(document, dict) else None
        named = isinstance(keys, dict) and all(
            isinstance(word, str) for pair in keys.items() for word in pair
        )
        if not isinstance(theme, str) or not named:
            raise EINVAL(
                f"{file} is not of the form theme: NAME, keys: {{ACTION: KEYS}}",
                hint='for example: keys: {processes.kill: "ctrl+k"}',
            )
        return cls(theme, dict(keys or {}))

    def save(self, home: Home) -> None:
        document = {"theme": self.theme, "keys": self.keys}
        text = yaml.safe_dump({name: value for name, value in document.items() if value})
        # In one step: a full disk must not take the keys away.
        fresh = self.file(home).with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.file(home))
