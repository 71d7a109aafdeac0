"""The plan of a home: which programs its supervisor runs, from its configuration.

The kernel's own settings are read by a quick look, so that it can be started before the whole
configuration is checked. It knows nothing about how programs are run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llmagentos.home import Home
from shell import image
from shell.service import Program
from shell.supervisor import Plan

_KERNEL_SETTINGS: Final = {
    "default_model": "--default-model",
    "durability": "--durability",
    "policy": "--policy",
    "listen": "--listen",
}


def kernel_program(home: Home) -> Program:
    """The kernel with its settings. Whether they are right is found out by ``programs_of``."""
    document = _glance(home)
    words = [
        f"{option}={document[field]}"
        for field, option in _KERNEL_SETTINGS.items()
        if isinstance(document.get(field), str)
    ]
    return Program("kernel", image.command("kernel", *words))


def programs_of(home: Home) -> Plan:
    """Drivers and agent hosts, read when the kernel has been started. Raises ``EINVAL``."""

    def programs() -> Sequence[Program]:
        from shell.config import load

        return load(home).programs()

    return programs


def _glance(home: Home) -> dict[str, Any]:
    if not home.config.exists():
        return {}
    import yaml

    try:
        document = yaml.safe_load(home.config.read_bytes())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return document if isinstance(document, dict) else {}
