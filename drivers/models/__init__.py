"""The model store: models on this machine's disk, shared by all systems of a user.

``python -m drivers.models`` is its command (see ``cli`` for the contract), ``ensure`` what a
driver calls. Importing it costs no torch and no network library.
"""

from drivers.models.pulling import ensure, pull
from drivers.models.store import Store

__all__ = ["Store", "ensure", "pull"]
