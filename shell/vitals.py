"""The vital signs that ``llmos doctor`` looks for: is the system up, and are its drivers well.

It knows nothing about how results are shown, nor about what a driver is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmagentos.abi.errors import LLMOSError
from llmagentos.home import Home
from shell.finding import Finding

if TYPE_CHECKING:
    from llmagentos.abi.calls.drv import DriverInfo

_PATIENCE: Final = 2.0


def vitals(home: Home) -> Iterator[Finding]:
    """Of the system in this home; one that is not up is ill."""
    try:
        from llmagentos.abi.calls.drv import ListResult
        from shell.session import open_system

        with open_system(patience=_PATIENCE) as system:
            uptime = system.call("sys.ping", within=_PATIENCE)["uptime"]
            listed = ListResult.model_validate(system.call("drv.list", within=_PATIENCE))
    except ImportError as error:
        yield Finding("system", False, str(error), "install the packages that are missing")
    except LLMOSError as error:
        yield Finding("system", False, error.message, error.hint)
    else:
        yield Finding("system", True, f"up for {uptime:.0f} s")
        for driver in ill(listed.drivers):
            yield Finding(
                "driver",
                False,
                f"{driver.name} {driver.state}: {driver.note}",
                f"read {log(driver, home) or 'what it wrote, on its own machine'}",
                grave=False,
            )


def ill(drivers: list[DriverInfo]) -> list[DriverInfo]:
    """Those that said of themselves that they can't work."""
    return [driver for driver in drivers if driver.state == "failed"]


def log(driver: DriverInfo, home: Home) -> Path | None:
    """Where this machine's supervisor puts what it writes; None, if it is not one of its own."""
    file = home.logs / f"{driver.name}.log"
    return file if file.exists() else None
