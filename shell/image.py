"""The image: the folder that holds the system's own packages, and how one of them is run.

In a checkout it is the project's root, in an installed copy ``llmagentos/system``. It knows
nothing about what the programs do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from llmagentos.home import Home

ROOT: Final = Path(__file__).resolve().parent.parent


def command(module: str, *arguments: str) -> list[str]:
    """The command line of one of the system's programs.

    ``-P`` keeps the current folder off its path: a user's own folder ``agents`` must not be
    taken for ours.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(home: Home) -> dict[str, str]:
    """The environment of the system's programs: ours, this home, and the image on the path."""
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(ROOT), inherited] if inherited else [str(ROOT)])
    given = {key: value for key, value in os.environ.items() if key != "LLMOS_SESSION"}
    return {**given, "LLMOS_HOME": str(home.root), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def shipped_manifests() -> Path:
    """The folder of the manifests that come with the system."""
    return ROOT / "manifests"
