"""The plan of a home: which programs its supervisor runs, from its configuration.

The kernel's own settings are read by a quick look, so that it can be started before the whole
configuration is checked. It knows nothing about how programs are run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llmagentos.home import Home
from shell import image
from shell.service import Program, secret_variables
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
    return Program("kernel", image.command("kernel", *words), withheld=_secrets(document))


def _secrets(document: dict[str, Any]) -> frozenset[str]:
    """The variables that hold the drivers' keys: the kernel needs none of them."""
    drivers = document.get("drivers")
    keys: list[str] = []
    others: list[str] = []
    for driver in drivers if isinstance(drivers, list) else ():
        if isinstance(driver, dict):
            keys += _texts([driver.get("key"), driver.get("token")])
            others += _texts(driver.get("env"))
    return secret_variables(keys, others)


def _texts(found: object) -> list[str]:
    """The texts in a list that nobody has checked yet."""
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


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
