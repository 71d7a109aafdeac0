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
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise EINVAL(f"{file} can't be read: {error}", hint="mend or delete it") from None
        document = document or {}
        theme = document.get("theme", "") if isinstance(document, dict) else None
        keys = document.get("keys") or {} if isinstance(document, dict) else None
        if not isinstance(theme, str) or not isinstance(keys, dict):
            raise EINVAL(f"{file} is not of the form theme: NAME, keys: {{ACTION: KEYS}}")
        return cls(theme, {str(name): str(key) for name, key in keys.items()})

    def save(self, home: Home) -> None:
        document = {"theme": self.theme, "keys": self.keys}
        text = yaml.safe_dump({name: value for name, value in document.items() if value})
        self.file(home).write_text(text, encoding="utf-8")
