"""Does the stream of events tell each of them once, whenever the kernel is asked?"""

from __future__ import annotations

from typing import Any

import pytest

from shell.events import Events


class _Kernel:
    """One more event happens at each question; it is written down only after the answer, as the
    real kernel commits."""

    def __init__(self, happened: list[int | None], to_come: list[int | None]) -> None:
        self._pids, self._to_come = happened, to_come
        self.asked = 0

    def call(self, _: str, *, since: int, limit: int, pid: int | None) -> dict[str, Any]:
        self.asked += 1
        written = len(self._pids)
        self._pids += self._to_come[:1]
        del self._to_come[:1]
        events = [
            {"seq": seq, "time": 0.0, "type": "x", "pid": self._pids[seq - 1], "data": {}}
            for seq in range(since + 1, written + 1)
            if pid in (None, self._pids[seq - 1])
        ]
        page = events[:limit]
        return {
            "events": page, "oldest": 1, "latest": len(self._pids), "more": len(page) == limit
        }  # fmt: skip


@pytest.mark.parametrize(
    ("pid", "told"), [(None, [1, 2, 3, 4, 5]), (7, [2, 4]), (9, [])], ids=["all", "one", "none"]
)
def test_is_an_event_told_that_happened_when_the_kernel_was_asked(
    pid: int | None, told: list[int]
) -> None:
    kernel = _Kernel([5, 7], [5, 7, 5])
    events = Events(kernel, "", pid)  # type: ignore[arg-type]
    heard = [event.seq for _ in range(3) for event in events.past()]
    assert heard == told


def test_is_a_kernel_that_is_quiet_asked_once() -> None:
    kernel = _Kernel([5, 7], [])
    events = Events(kernel, "")  # type: ignore[arg-type]
    assert [event.seq for event in events.past()] == [1, 2]
    assert kernel.asked == 1
