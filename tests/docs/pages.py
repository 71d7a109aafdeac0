"""A page of the documentation, typed in: its files saved, its commands run, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(sh|python|yaml)\n(.*?)^```$", re.M | re.S)
_NAMED = re.compile(r"# ([\w./-]+)\n")


class Page:
    """``folder``: where its reader works; ``edge``: what stands in for the driver of a model."""

    def __init__(self, name: str, folder: Path) -> None:
        self.blocks = _BLOCK.findall((ROOT / "docs" / name).read_text(encoding="utf-8"))
        self.folder = folder
        self.home = folder / "home"
        self.outputs: dict[str, str] = {}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        given = {k: v for k, v in os.environ.items() if not k.startswith("LLMOS_")}
        self.environment = {
            **given, "LLMOS_HOME": str(self.home), "PATH": path, "PYTHONPATH": str(ROOT),
        }  # fmt: skip

    def save(self, text: str) -> Path | None:
        """A block that begins with the name of a file is that file; None: it is none."""
        named = _NAMED.match(text)
        if named is None:
            return None
        file = Path(named[1].replace("LLMOS_HOME", str(self.home)))
        file = self.folder / file
        file.parent.mkdir(parents=True, exist_ok=True)
        # The README's test has the real model.
        file.write_text(text.replace("kind: edge}", "kind: scripted}"), encoding="utf-8")
        return file

    def type_in(self, line: str) -> str:
        """One command; what it said."""
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, timeout=250,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        said = f"{line}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
        assert "Traceback" not in done.stderr, said
        self.outputs[line] = done.stdout
        return done.stdout

    def leave(self) -> None:
        subprocess.run(
            ["bash", "-c", "llmos down"], env=self.environment, capture_output=True, timeout=120
        )
