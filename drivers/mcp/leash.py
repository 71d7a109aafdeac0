"""A leash: becomes the program it is told to run, which then dies with the process that began it.

Run by its path, as ``leash.py PARENT PROGRAM ARGUMENTS…``. A driver that is killed can't end its
server, so Linux must; and what has threads must not run Python between fork and exec, so it is
done here. It knows nothing about the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program, *arguments = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the driver is gone already")
    try:
        os.execvp(program, [program, *arguments])
    except OSError as error:
        sys.exit(f"{program} can't be run: {error.strerror}")


if __name__ == "__main__":
    main()
