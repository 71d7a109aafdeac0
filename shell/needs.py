"""What the drivers of a configuration need and the machine may lack: a sandbox that can confine,
and the keys of those who ask for one.

No key is read any further than to see that it is there, and none is shown. It knows nothing about
how drivers are run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import util
from typing import TYPE_CHECKING, Final

from llmagentos.home import Home
from shell import image
from shell.finding import Finding

if TYPE_CHECKING:
    from shell.config import Config, DriverConfig

_KEYRING: Final = "keyring:"
_PATIENCE: Final = 30.0
"""Seconds. A sandbox tells in one; a keyring may ask its owner."""


def needs(config: Config, home: Home) -> Iterator[Finding]:
    """Also of the sandbox where none is configured: its tools may be wanted yet."""
    yield _sandbox(home)
    for driver in config.drivers:
        yield from _keys(driver, home)


def _sandbox(home: Home) -> Finding:
    """Only a trial shows what this user, in this container, may do."""
    try:
        trial = _run(image.command("drivers.sandbox", "--check"), home)
    except subprocess.TimeoutExpired:
        told = f"a trial did not end in {_PATIENCE:g} seconds"
        return Finding("sandbox", False, told, "look at what else runs, and try again", grave=False)
    if trial.returncode == 0:
        return Finding("sandbox", True, "a trial was confined", grave=False)
    words = [*trial.stdout.splitlines(), *trial.stderr.splitlines()[-1:]]
    remedy = (
        "see landlock and namespaces above; in a container, let it make user namespaces (Docker: "
        "--security-opt seccomp=unconfined), or add options: {unconfined: true} to the driver, "
        "and nothing is confined"
    )
    return Finding("sandbox", False, words[0] if words else "no trial", remedy, grave=False)


def _keys(driver: DriverConfig, home: Home) -> Iterator[Finding]:
    """Of an endpoint, or of an MCP server."""
    variables = [*driver.env, *filter(None, [driver.token])]
    if driver.key is not None and not driver.key.startswith(_KEYRING):
        variables.append(driver.key)
    name = f"key of {driver.name}"
    for variable in variables:
        ok = bool(os.environ.get(variable, "").strip())
        found = f"${variable} is {'set' if ok else 'not set in this environment'}"
        remedy = f"export {variable}=… before llmos up"
        yield Finding(name, ok, found, remedy, grave=False)
    if driver.key is not None and driver.key.startswith(_KEYRING):
        yield _in_keyring(name, driver.key.removeprefix(_KEYRING), home)


def _in_keyring(name: str, entry: str, home: Home) -> Finding:
    if not util.find_spec("keyring"):
        remedy = 'pip install "llmagentos[cloud]"'
        return Finding(name, False, "the package keyring is not there", remedy, grave=False)
    service, _, user = entry.partition("/")
    try:
        asked = _run([sys.executable, "-P", "-m", "keyring", "get", service, user], home)
        ok = asked.returncode == 0 and bool(asked.stdout.strip())
    except subprocess.TimeoutExpired:
        ok = False
    found = f"{entry} is {'in the keyring' if ok else 'not in a keyring that can be read'}"
    return Finding(name, ok, found, f"keyring set {service} {user}", grave=False)


def _run(words: list[str], home: Home) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=image.environment(home), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=_PATIENCE, check=False,
    )  # fmt: skip
