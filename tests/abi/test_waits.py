"""Is the kernel told for how long its caller waits?"""

from __future__ import annotations

import typing

import pytest

from llmagentos.abi.errors import ETIMEOUT
from llmagentos.abi.syscalls import TABLE
from llmagentos.waits import ENDLESS, check_in_time, limited


def test_are_these_all_the_calls_that_wait_without_an_end() -> None:
    lasting = set()
    for name, call in TABLE.items():
        field = call.args.model_fields.get("timeout")
        # Without one a request waits as long as an approval does.
        if field is not None and field.default is None and name != "cap.request":
            lasting.add(name)
    assert set(ENDLESS) == lasting
    for name, what in ENDLESS.items():
        assert not what or typing.get_origin(TABLE[name].result.model_fields[what].annotation)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({}, {"timeout": 3.0}),
        ({"timeout": None}, {"timeout": 3.0}),
        ({"timeout": "1m"}, {"timeout": 3.0}),
        ({"timeout": 2}, {}),
        ({"timeout": "2500ms"}, {}),
        ({"timeout": "soon"}, {}),
        ({"timeout": []}, {}),
        ({"block": False}, {}),
    ],
)
def test_is_the_shorter_time_told(args: dict[str, typing.Any], told: dict[str, float]) -> None:
    limit, patience = limited("ipc.recv", args, 3)
    assert (limit, patience) == (told, 5.0 if told else 3.0)


def test_is_a_call_that_ends_by_itself_left_alone() -> None:
    assert limited("llm.generate", {}, 3) == ({}, 3.0)
    assert limited("ipc.recv", {}, None) == ({}, None)


def test_is_nothing_too_late_and_something_not() -> None:
    check_in_time("ipc.recv", {"mail": [1], "left": 0}, 3)
    check_in_time("proc.wait", {"code": 0}, 3)
    with pytest.raises(ETIMEOUT, match="within 3 s"):
        check_in_time("ipc.subscribe", {"messages": [], "next": 1}, 3)
