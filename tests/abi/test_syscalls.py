"""Is the table of syscalls complete and consistent, and does importing it stay light?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmagentos.abi.calls.llm import StreamBody
from llmagentos.abi.model import Model
from llmagentos.abi.process import Limits
from llmagentos.abi.syscalls import TABLE, Syscall

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "proc": "spawn fork exit wait kill nice limits list info adopt",
    "llm": "generate embed cancel",
    "ctx": "read append compact checkpoint restore rewind",
    "mem": "put get search delete list",
    "fs": "write read list stat delete history restore",
    "ipc": "send recv publish subscribe",
    "tool": "list call",
    "cap": "list grant revoke request decide",
    "drv": "list info drain",
    "sys": "ping info events audit metrics shutdown",
}
CALLS = sorted(TABLE.values(), key=lambda call: call.name)
# Calls that change nothing which a repeat would do twice.
READS = {
    "proc.list", "proc.info", "ctx.read", "drv.list", "drv.info", "sys.ping", "sys.info",
    "sys.events", "sys.audit", "sys.metrics", "llm.embed", "mem.get", "mem.search", "mem.list",
    "fs.read", "fs.list", "fs.stat", "fs.history", "ipc.subscribe", "tool.list", "cap.list",
}  # fmt: skip
# Each repeat of these is as good as the first: it gives a new session, or ends what has ended.
IDEMPOTENT = {"proc.adopt", "sys.shutdown"}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_is_the_family_as_the_design_has_it(family: str) -> None:
    there = {call.name for call in CALLS if call.family == family}
    assert there == {f"{family}.{name}" for name in FAMILIES[family].split()}


def test_is_there_no_other_family() -> None:
    assert {call.family for call in CALLS} == set(FAMILIES)
    assert all(name == call.name for name, call in TABLE.items())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_does_the_row_say_what_the_call_does(call: Syscall) -> None:
    assert call.doc.endswith((".", "?"))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_are_the_models_strict_and_described(call: Syscall) -> None:
    for model in (call.args, call.result):
        assert issubclass(model, Model)
        config = model.model_config
        assert (config["extra"], config["strict"], config["frozen"]) == ("forbid", True, True)
        assert model.model_json_schema()["type"] == "object"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_is_every_call_that_changes_something_marked_as_one_that_writes(call: Syscall) -> None:
    assert call.writes == (call.name not in READS | IDEMPOTENT)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_does_a_call_stream_only_if_one_can_ask_for_it(call: Syscall) -> None:
    assert call.streams == ("stream" in call.args.model_fields)
    assert set(StreamBody.model_fields) == {"burst", "offset", "text", "restarts"}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_does_the_row_name_known_limits_and_rights(call: Syscall) -> None:
    assert set(filter(None, call.cost.split(", "))) <= set(Limits.model_fields)
    for placeholder in re.findall(r"<(\w+)>", call.capability):
        derived = {"mount": "path", "driver": "model"}
        assert derived.get(placeholder, placeholder) in call.args.model_fields
    if {"tree", "below"} & set(call.capability.split()):
        assert {"pid", "tree", "approval"} & set(call.args.model_fields)


def test_does_the_kernel_serve_just_the_calls_of_the_table() -> None:
    from kernel.syscalls import HANDLERS

    assert set(HANDLERS) == set(TABLE)


def test_does_the_kernel_check_every_right_that_the_table_names() -> None:
    from kernel.checks import _CHECKS

    for call in CALLS:
        assert len(_CHECKS[call.name]) == len([w for w in call.capability.split() if w != "self"])


_ALLOWED = {
    "zmq", "msgpack", "pydantic", "pydantic_core", "typing_extensions", "annotated_types",
    "typing_inspection", "llmagentos",
}  # fmt: skip


@pytest.mark.parametrize(
    "module",
    [
        "llmagentos",
        "llmagentos.client",
        "llmagentos.aio",
        "llmagentos.abi.syscalls",
        "llmagentos.testing",
    ],
)
def test_does_the_import_load_nothing_but_its_own_dependencies(module: str) -> None:
    script = (
        f"import sys; before = set(sys.modules); import {module}\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*(name for name in new if name not in sys.stdlib_module_names))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    # "cython_runtime" and the like are made by compiled modules; they are no packages.
    loaded = {name for name in run.stdout.split() if not name.startswith(("_", "cython_runtime"))}
    assert loaded <= _ALLOWED


def test_does_the_contract_alone_load_no_socket_library() -> None:
    script = "import sys, llmagentos.abi.syscalls, llmagentos.abi.wire; print('zmq' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == "False", run.stderr
