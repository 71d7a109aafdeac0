"""What ``llmos doctor`` checks: each check says whether it holds, and how to mend it.

It imports none of what it looks for. It knows nothing about how results are shown.
"""

from __future__ import annotations

import ctypes
import locale
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home
from shell.finding import Finding
from shell.vitals import vitals

if TYPE_CHECKING:
    from shell.config import Config

_OLDEST: Final = (3, 11)
_ROOM: Final = 1_000_000_000
_NEEDED: Final = {
    "zmq": "pyzmq",
    "msgpack": "msgpack",
    "pydantic": "pydantic",
    "sqlite_utils": "sqlite-utils",
    "click": "click",
    "yaml": "pyyaml",
    "tabulate": "tabulate",
    "textual": "textual",
}
_EDGE: Final = ("torch", "transformers", "safetensors")
_TEXTUAL: Final = (8, 0)
"""What the screen is written for."""
_LONGEST_SOCKET: Final = 107
_LANDLOCK: Final = 4
"""The first ABI that confines the network as well."""
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_VERSION: Final = 1
"""The number of the system call, the same on every machine, and the flag that asks for the ABI."""
_SETTINGS: Final = Path("/proc/sys")


Models = Callable[[], dict[str, Any]]


def findings(home: Home, list_models: Models) -> Iterator[Finding]:
    """All the checks, the quick ones first."""
    yield _python()
    yield _packages()
    yield _edge_packages()
    yield _screen()
    yield _home(home)
    yield from _state(home)
    yield _sockets(home)
    yield from _keys(home)
    yield _disk(home)
    yield _terminal()
    yield _colours()
    yield from _sandbox()
    config, told = _configuration(home)
    yield told
    if config is not None:
        from shell.needs import needs

        yield from needs(config, home)
    yield _model(config, list_models)
    yield from vitals(home)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= _OLDEST, version, "install Python 3.11 or newer")


def _packages() -> Finding:
    missing = [package for module, package in _NEEDED.items() if not util.find_spec(module)]
    found = f"{', '.join(missing)} missing" if missing else "all there"
    return Finding("packages", not missing, found, f"pip install {' '.join(missing)}")


def _edge_packages() -> Finding:
    missing = [name for name in _EDGE if not util.find_spec(name)]
    versions = ", ".join(f"{name} {_version(name)}" for name in _EDGE if name not in missing)
    found = f"{', '.join(missing)} missing" if missing else versions
    return Finding("local models", not missing, found, 'pip install "llmagentos[edge]"')


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "?"


def _screen() -> Finding:
    """What shows it, and what serves it to browsers."""
    version, served = _version("textual"), _version("textual-serve")
    parts = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    needed = ".".join(map(str, _TEXTUAL))
    if parts < _TEXTUAL:
        found = f"textual {version}, older than {needed}" if parts else "textual is not there"
        return Finding("screen", False, found, f'pip install "textual>={needed}"', grave=False)
    # Not everybody wants it in a browser.
    web = (
        f"textual-serve {served}" if served != "?" else 'not in browsers without "llmagentos[web]"'
    )
    return Finding("screen", True, f"textual {version}, {web}")


def _terminal() -> Finding:
    """Whether the screen can be shown on it as it is meant."""
    # Not stdout's encoding: that was made UTF-8, whatever the terminal is.
    charset = locale.nl_langinfo(locale.CODESET)
    kind = os.environ.get("TERM", "")
    found = f"TERM={kind or 'not set'}, {charset}"
    if charset.lower().replace("-", "") != "utf8":
        found += ": frames and accents may come out as other signs"
        remedy = "set a UTF-8 locale: export LC_ALL=C.UTF-8"
        return Finding("terminal", False, found, remedy, grave=False)
    if sys.stdout.isatty() and kind in ("", "dumb"):
        remedy = "export TERM=xterm-256color, or use another terminal"
        return Finding("terminal", False, f"{found}: it shows no screen", remedy, grave=False)
    return Finding("terminal", True, found)


def _colours() -> Finding:
    """As many as the terminal says that it has."""
    if os.environ.get("NO_COLOR"):
        return Finding("colours", True, "none, as NO_COLOR wants it")
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return Finding("colours", True, "16 million")
    if os.environ.get("TERM", "").endswith(("256color", "kitty")):
        return Finding("colours", True, "256")
    remedy = "export TERM=xterm-256color COLORTERM=truecolor, if the terminal can do it"
    # Into a pipe none are shown, so there is nothing to mend.
    ok = not sys.stdout.isatty()
    return Finding("colours", ok, "16: shades run into each other", remedy, grave=False)


def _sandbox() -> Iterator[Finding]:
    """What the machine has to confine tools with."""
    abi = _landlock()
    found = f"ABI {abi}" if abi > 0 else "not there: nothing keeps a tool from the user's files"
    if 0 < abi < _LANDLOCK:
        found += ": it keeps a tool from files, but not from the network"
    yield Finding(
        "landlock",
        abi >= _LANDLOCK,
        found,
        "a Linux of 6.7 or newer with landlock in its list of security modules "
        "(/sys/kernel/security/lsm)",
        grave=False,
    )
    wrong = []
    if _number("user/max_user_namespaces") <= 0:
        wrong.append("user.max_user_namespaces=10000")
    if _number("kernel/unprivileged_userns_clone", 1) <= 0:
        wrong.append("kernel.unprivileged_userns_clone=1")
    if _number("kernel/apparmor_restrict_unprivileged_userns") > 0:
        wrong.append("kernel.apparmor_restrict_unprivileged_userns=0")
    found = "only root can have them: a tool sees all processes and all of the network"
    yield Finding(
        "namespaces",
        not wrong,
        found if wrong else "users can have their own",
        f"sudo sysctl -w {' '.join(wrong)}",
        grave=False,
    )


def _landlock() -> int:
    """The version of its ABI; 0 or less: there is none."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return int(libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION))
    except (OSError, AttributeError):
        return 0


def _number(setting: str, otherwise: int = 0) -> int:
    """Of the machine; ``otherwise``: it has no such setting."""
    try:
        return int((_SETTINGS / setting).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return otherwise


def _home(home: Home) -> Finding:
    root = home.root
    if not root.exists():
        around = next(parent for parent in root.parents if parent.exists())
        ok = os.access(around, os.W_OK | os.X_OK)
        remedy = f"make {around} writable, or set LLMOS_HOME to another folder"
        return Finding("home", ok, f"{root} will be made by llmos up", remedy)
    if not root.is_dir():
        return Finding("home", False, f"{root} is not a folder", "set LLMOS_HOME to a folder")
    mode = stat.S_IMODE(root.stat().st_mode)
    if not os.access(root, os.W_OK | os.X_OK):
        return Finding("home", False, f"{root} is not writable", f"chmod u+rwx {root}")
    if mode & 0o022:
        found = f"{root} has mode {mode:04o}: others can write to it"
        return Finding("home", False, found, f"chmod 0700 {root}")
    if mode & 0o077:
        found = f"{root} has mode {mode:04o}: others can look into it"
        return Finding("home", False, found, f"chmod 0700 {root}", grave=False)
    return Finding("home", True, f"{root}, mode {mode:04o}")


def _state(home: Home) -> Iterator[Finding]:
    """Whether others can read what agents have said; what SQLite keeps beside it counts too."""
    database = home.database
    if not database.exists():
        return
    files = (database, *(database.with_name(database.name + end) for end in ("-wal", "-shm")))
    modes = {file: stat.S_IMODE(file.stat().st_mode) for file in files if file.exists()}
    bare = [str(file) for file, mode in modes.items() if mode & 0o077]
    found = f"others can read {', '.join(bare)}" if bare else f"mode {modes[database]:04o}"
    remedy = f"chmod 0600 {' '.join(bare)}"
    yield Finding(database.name, not bare, found, remedy, grave=False)


def _sockets(home: Home) -> Finding:
    length = len(os.fsencode(home.run / "drivers.sock"))
    found = f"in {home.run}, {length} of {_LONGEST_SOCKET} bytes"
    return Finding("sockets", length <= _LONGEST_SOCKET, found, "choose a shorter LLMOS_HOME")


def _keys(home: Home) -> Iterator[Finding]:
    for file in (home.user_key_file, home.service_key_file):
        if not file.exists():
            yield Finding(file.name, True, "made by the first llmos up")
            continue
        mode = stat.S_IMODE(file.stat().st_mode)
        yield Finding(file.name, mode == 0o600, f"mode {mode:04o}", f"chmod 0600 {file}")


def _disk(home: Home) -> Finding:
    folder: Path = home.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free"
    return Finding("disk", free >= _ROOM, found, f"make room on the disk of {folder}")


def _configuration(home: Home) -> tuple[Config | None, Finding]:
    """None if it isn't right."""
    try:
        from shell.config import load

        config = load(home)
    except ImportError as error:
        return None, Finding("configuration", False, str(error), "install what is missing")
    except LLMOSError as error:
        return None, Finding("configuration", False, error.message, error.hint)
    found = str(home.config) if home.config.exists() else "defaults, there is no config.yaml"
    return config, Finding("configuration", True, found)


def _model(config: Config | None, list_models: Models) -> Finding:
    """The one that the first edge driver needs."""
    edges = (
        [one for one in config.drivers if one.computes and one.kind != "embedding"]
        if config
        else []
    )
    model = edges[0].model or config.default_model if config and edges else None
    if model is None:
        return Finding("model", True, "no edge driver is configured")
    try:
        listed = list_models()["models"]
    except LLMOSError as error:
        return Finding("model", False, error.message, error.hint)
    here = any(row["name"] == model and row["installed"] for row in listed)
    found = f"{model} is {'here' if here else 'not here yet'}"
    return Finding("model", here, found, f"llmos models pull {model}, or let llmos up pull it")
