"""The console script ``llmos``: find the system's image, and hand over to its shell.

An installed copy carries the system's own packages (kernel, drivers, agents, shell) in
``llmagentos/system``, where no other project's imports can meet them; they go onto the path of
this process only. In a checkout they lie beside this package and nothing has to be done. It
knows nothing about what the command does, and imports nothing before it must.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Run the command line; the exit status."""
    image = Path(__file__).resolve().parent / "system"
    if image.is_dir():
        sys.path.insert(0, str(image))
    # By name: llmagentos must not depend on the shell, it only carries it.
    status: int = import_module("shell.cli").main()
    return status
