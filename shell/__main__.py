"""``python -m shell``: the ``llmos`` command from a checkout."""

import sys

from shell.cli import main

if __name__ == "__main__":
    sys.exit(main())
