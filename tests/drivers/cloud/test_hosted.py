"""Does the driver's process say to the kernel what it should, when it should?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from llmagentos.abi.driver import Registration
from tests.drivers.cloud.endpoint import MockEndpoint

LIMITS = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-reset-requests": "1s",
}


@pytest.fixture
def driver(
    kernel: Any, mock: MockEndpoint, run_program: Callable[..., subprocess.Popen[str]]
) -> subprocess.Popen[str]:
    return run_program(
        "drivers.cloud", "--endpoint", mock.url, "--model", "fake-model=there/model",
        "--tokens-per-minute", "1000", "--continues", "prefill", "--slots", "3",
    )  # fmt: skip


def test_does_it_register_what_was_declared(kernel: Any, driver: Any) -> None:
    told = Registration.model_validate(kernel.hear().body)
    assert (told.kind, told.zone, told.slots, told.state) == ("cloud", "cloud", 3, "loading")
    assert told.features == ["tools", "resume_text"]
    assert [(rate.what, rate.limit) for rate in told.rates] == [("tokens", 1000)]
    assert told.models[0].price is None
    kernel.say("welcome", {"boot": 1, "beat_interval": 0.1})
    ready = kernel.hear_until(lambda m: m.kind == "beat" and m.body["state"] == "ready")
    assert ready.body["models"][0]["context_length"] == 4096, "as the endpoint says"


def test_are_limits_told_when_they_have_changed(
    kernel: Any, driver: Any, mock: MockEndpoint
) -> None:
    kernel.admit()
    mock.behaviour.headers = LIMITS
    kernel.start(1)
    assert kernel.steps(1)[-1]["finish"] == "stop"
    beat = kernel.hear_until(lambda m: m.kind == "beat" and m.body.get("rates"))
    assert [(r["what"], r["limit"], r.get("left")) for r in beat.body["rates"]] == [
        ("tokens", 1000, None),
        ("requests", 60, 59),
    ]
    beats = [kernel.hear_kind("beat") for _ in range(3)]
    assert not any("rates" in beat.body for beat in beats)


def test_is_it_told_before_the_error_that_its_provider_is_closed(
    kernel: Any, driver: Any, mock: MockEndpoint
) -> None:
    kernel.admit(beat_interval=5.0)
    mock.behaviour.status, mock.behaviour.headers = 429, {"retry-after": "90"}
    before = len(kernel.seen)
    kernel.start(1)
    (failed,) = kernel.steps(1)
    assert failed["error"]["code"] == "ERATE"
    assert failed["prompt_tokens"] == 0
    assert [m.body["closed"] > 80 for m in kernel.seen[before:] if m.kind == "beat"] == [True]


def test_does_it_sleep_while_it_waits_and_end_when_told(
    kernel: Any, driver: Any, mock: MockEndpoint
) -> None:
    kernel.admit()
    mock.behaviour.breaks = "hang after a word"
    kernel.start(1)
    kernel.hear_kind("report")
    before = _worked(driver.pid)
    for _ in range(10):
        kernel.hear_kind("beat")
    assert _worked(driver.pid) - before < 0.5, "a second in which there is nothing to do"
    driver.send_signal(signal.SIGTERM)
    assert kernel.steps(1)[-1]["error"]["code"] == "EDRIVER"
    assert driver.wait(30) == 0
    assert mock.gone.wait(30)
    assert "Traceback" not in driver.communicate()[1]


def _worked(pid: int) -> float:
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


BARE = """
import sys
for name in ("httpx2", "openai", "anthropic"):
    sys.modules[name] = None
import drivers.cloud.__main__ as program
program.run_driver = lambda options, load, **more: load(print)
try:
    program.main(["--endpoint", "http://127.0.0.1/v1", "--model", "m", "--api", sys.argv[1]])
except Exception as error:
    print(error.code, error.hint)
"""


@pytest.mark.parametrize(("api", "extra"), [("openai", "cloud"), ("anthropic", "anthropic")])
def test_is_it_said_which_extra_is_missing(api: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE, api], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == f'ENOSYS install it: pip install "llmagentos[{extra}]"'
