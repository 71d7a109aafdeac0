"""Does what could kill the kernel, now or later, get an error, and does a bug fail one call?"""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from llmagentos.abi import errors
from tests.system.machines import Machines, Raw, agent
from tests.system.peers import QUICKLY, announce

_SOURCE = "apiVersion: llmagentos/v1\nkind: Agent\nmetadata: {{name: a}}\nspec: {{{}}}\n"
_POISON: dict[str, tuple[str, dict[str, Any]]] = {
    "bytes in a tool": ("proc.spawn", {"manifest": agent(tools=[{"x": b"\xff"}])}),
    "a timestamp in a tool": (
        "proc.spawn", {"manifest": agent(tools=[{"x": msgpack.Timestamp(2**34, 5)}])}),
    "YAML's own bytes": ("proc.spawn", {"source": _SOURCE.format('tools: [{x: !!binary "//79"}]')}),
    "a number of 60 digits": (
        "proc.spawn", {"source": _SOURCE.format("limits: {tokens: " + "9" * 60 + "}")}),
    "a list 30,000 deep": ("proc.spawn", {"source": "[" * 30_000}),
    "bytes in the error of an exit": (
        "proc.exit", {"error": {"code": "EIO", "message": "x", "detail": {"x": b"\xff"}}}),
}  # fmt: skip


@pytest.mark.parametrize("poison", sorted(_POISON))
def test_is_poison_refused(kernel: Machines, poison: str) -> None:
    name, args = _POISON[poison]
    with kernel.user() as user, kernel.raw() as raw:
        adopted = user.call("proc.adopt", name="poisoner")
        raw.say(name, session=adopted["session"], **args)
        reply = raw.hear(QUICKLY)
        assert reply.kind == "reply"
        assert not reply.body["ok"]
        assert user.call("proc.list", within=QUICKLY)
        assert user.call("sys.ping", within=QUICKLY)
    kernel.kill_kernel()
    kernel.start_kernel()


@pytest.mark.parametrize("field", [{"prompt_tokens": 2**64 - 1}, {"prompt_tokens": -50}])
def test_is_an_impossible_count_of_a_driver_refused(
    kernel: Machines, field: dict[str, Any]
) -> None:
    key = kernel.home.service_key()
    with Raw(kernel.home.drivers) as line, kernel.program() as system:
        card = {"name": "odd", "kind": "edge", "slots": 4, "state": "ready",
                "models": [{"name": "odd-model", "context_length": 100}]}  # fmt: skip
        line.send(*announce("register", key, **card))
        assert line.hear().kind == "welcome"
        system.open("llm.generate", messages=[{"role": "user", "content": "x"}], model="odd-model")
        order = line.hear().body
        step = {"burst": order["burst"], "attempt": 1, "index": 0, "tokens": [1], "text": "x",
                "finish": "stop"}  # fmt: skip
        line.send(*announce("report", key, steps=[step | field]))
        assert line.hear().kind == "refuse"
        assert system.info().process.usage.prompt_tokens >= 0


_BUGGY = """
import sys
from kernel import checks
from kernel.__main__ import main
from kernel.syscalls import HANDLERS

def bug(*args):
    raise RuntimeError("a bug")

check = checks.check
checks.check = lambda kernel, caller, spec, args: (
    bug() if spec.name == "drv.list" else check(kernel, caller, spec, args)
)
HANDLERS["sys.info"] = bug
sys.exit(main())
"""


def test_does_a_bug_in_the_kernel_fail_one_call_and_no_other(machines: Machines) -> None:
    kernel = machines.start("-c", _BUGGY)
    with machines.raw() as raw:
        raw.call("sys.ping", seconds=30)
    with machines.user() as user:
        for name in ("sys.info", "drv.list"):
            call = user.open("sys.ping"), user.open(name), user.open("proc.list")
            with pytest.raises(errors.EIO, match=f"{name} failed inside the kernel: RuntimeError"):
                call[1].result(30)
            assert call[0].result(30)
            assert call[2].result(30)["processes"]
        events = user.call("sys.events")["events"]
    bugs = [event["data"] for event in events if event["type"] == "kernel.bug"]
    assert [bug["call"] for bug in bugs] == ["sys.info", "drv.list"]
    assert kernel.poll() is None
