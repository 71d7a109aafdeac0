"""The clock: the smallest tool driver. ``python -m drivers.clock --name clock``.

It tells the time, and sleeps; the second is also how one sees that a long call can be aborted.
It knows nothing about the protocol.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from pydantic import Field

from drivers.options import common_options, run_driver
from drivers.tool import Job, make_tool
from llmagentos.abi.errors import ECANCELED, EINVAL
from llmagentos.abi.model import Json, Model


class Now(Model):
    timezone: str = Field("UTC", description="an IANA name, e.g. Europe/Berlin")


class Sleep(Model):
    seconds: float = Field(ge=0, le=60)


def now(arguments: Now, _job: Job) -> Json:
    return datetime.now(_zone(arguments.timezone)).isoformat(timespec="seconds")


def sleep(arguments: Sleep, job: Job) -> Json:
    if job.aborted.wait(arguments.seconds):
        raise ECANCELED("woken before the time was up")
    return {"slept": arguments.seconds}


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # also where the machine has no time zones
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, a path, a folder of zones
        raise EINVAL(
            f"there is no time zone {name!r}", hint="an IANA name, e.g. UTC or Europe/Berlin"
        ) from None


TOOLS = (
    make_tool("time.now", "The date and time now, as ISO 8601 text.", Now, now),
    make_tool("time.sleep", "Wait for some seconds, 60 at most.", Sleep, sleep),
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = common_options("drivers.clock", __doc__ or "", name="clock", slots=16, model=False)
    return run_driver(parser.parse_args(argv), kind="tool", tools=TOOLS)


if __name__ == "__main__":
    sys.exit(main())
