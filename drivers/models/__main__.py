"""``python -m drivers.models``; see ``drivers.models.cli``."""

import sys

from drivers.models.cli import main

sys.exit(main())
