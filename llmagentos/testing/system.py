"""A system for one test: the kernel in a thread, a scripted model, an agent host; all of it in a
folder that goes with it.

This package carries the system's own packages and knows one of them by its name only: the kernel's
guest. It is loaded here when it is asked for, and the host is run as a process, so that a test's
own ``agents`` is not mistaken for ours. It knows nothing about what is tested.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import llmagentos
from llmagentos.abi.errors import EINVAL, EIO, LLMOSError
from llmagentos.abi.manifest import DEFAULT_MODEL
from llmagentos.client import System, connect
from llmagentos.home import Home
from llmagentos.testing.model import ScriptedModel
from llmagentos.testing.script import Answers, Script
from llmagentos.testing.tools import Functions

_PACKAGE: Final = Path(llmagentos.__file__).resolve().parent
_INSTALLED: Final = _PACKAGE / "system"
IMAGE: Final = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
"""Where the system's own packages are: see ``llmagentos.entry``."""

_DOWN_WITHIN: Final = 10.0


class Running(System):
    """A program's session on the system of a test. ``home``: its folder; ``script``: what its
    model says and was asked."""

    def __init__(self, system: System, home: Path, script: Script) -> None:
        super().__init__(system._connection, system.session, system.pid)
        self.home = home
        self.script = script


@contextmanager
def running(
    script: Answers = (),
    *,
    tools: Mapping[str, Callable[..., Any]] | None = None,
    models: Sequence[str] = (DEFAULT_MODEL,),
    slots: int = 8,
    host: bool = True,
) -> Iterator[Running]:
    """A system that is up as long as the ``with`` is. ``script``: what the model answers, a text,
    a list or a function. ``tools``: functions that agents may call, by the tools' names.
    ``models``: under which names there is a model. Without ``host`` no agents are run, only what
    the test itself calls. As long as it is up, ``LLMOS_HOME`` names it: what is tested may
    ``connect()`` itself."""
    said = Script(script)
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="llmos-", ignore_cleanup_errors=True)
        )
        home = Home.at(folder)
        stack.enter_context(_variables({"LLMOS_HOME": folder, "LLMOS_SESSION": None}))
        stack.enter_context(_kernel(home, models[0]))
        if host:
            stack.enter_context(_host(home))
        for driver in (
            ScriptedModel(home, said, models, slots),
            *([Functions(home, tools)] if tools else []),
        ):
            stack.callback(driver.stop)
            driver.start()
        system = stack.enter_context(connect(home=folder))
        yield Running(system, home.root, said)


@contextmanager
def _kernel(home: Home, default_model: str) -> Iterator[None]:
    kernel = _guest()(home, default_model)
    kernel.start()
    try:
        yield
    finally:
        with suppress(LLMOSError), connect(home=home.root, user=True) as user:
            user.call("sys.shutdown", within=_DOWN_WITHIN, reason="the test is over")
        if not kernel.join(_DOWN_WITHIN):
            raise EIO(f"the kernel of the test did not end within {_DOWN_WITHIN:g} s")


@contextmanager
def _host(home: Home) -> Iterator[None]:
    """It is not waited for: until it is there, agents wait."""
    given = {name: value for name, value in os.environ.items() if name != "LLMOS_SESSION"}
    path = [str(IMAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
    with (home.logs / "host.log").open("ab") as log:
        host = subprocess.Popen(
            [sys.executable, "-P", "-m", "agents", "--name", "host"],
            env={**given, "LLMOS_HOME": str(home.root), "PYTHONPATH": os.pathsep.join(path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        host.terminate()
        try:
            host.wait(_DOWN_WITHIN)
        except subprocess.TimeoutExpired:
            host.kill()
            host.wait()


def _guest() -> Any:
    """The kernel, from the image; not one of another project that happens to be called so."""
    # sqlite-utils would load numpy, for nothing that is used here.
    hidden = "numpy" not in sys.modules
    if hidden:
        sys.modules["numpy"] = None  # type: ignore[assignment]
    sys.path.insert(0, str(IMAGE))
    try:
        module = import_module("kernel.guest")
    except ImportError as error:
        raise EINVAL(
            f"the system's kernel can't be loaded: {error}",
            hint="another module named kernel is in its way, or the installation is not whole",
        ) from error
    finally:
        sys.path.remove(str(IMAGE))
        if hidden:
            del sys.modules["numpy"]
    return module.Guest


@contextmanager
def _variables(given: Mapping[str, str | None]) -> Iterator[None]:
    """Set in the environment, or taken out of it, for a while."""
    before = {name: os.environ.get(name) for name in given}
    _set(given)
    try:
        yield
    finally:
        _set(before)


def _set(given: Mapping[str, str | None]) -> None:
    for name, value in given.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
