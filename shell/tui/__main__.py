"""``python -m shell.tui [--read-only]``: the screen alone, for a system that is up. ``llmos web``
runs it for each visitor."""

from __future__ import annotations

import argparse
import sys

from llmagentos.abi.errors import LLMOSError
from shell.failure import status_of
from shell.tui.run import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m shell.tui", description=__doc__)
    parser.add_argument("--read-only", action="store_true", help="show, and change nothing")
    try:
        sys.exit(main(read_only=parser.parse_args().read_only))
    except LLMOSError as error:
        sys.exit(status_of(error))
