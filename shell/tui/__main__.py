"""``python -m shell.tui``: the screen alone, on a system that is up or not."""

from __future__ import annotations

import sys

from shell.tui.run import main

if __name__ == "__main__":
    sys.exit(main())
