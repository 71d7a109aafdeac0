"""Wanted calls: the calls of tools that a process's last answer asks for, each made once.

What comes of one goes into the context in the step that settles it. While it is under way it is
its process's affair, whoever made the call: a host that dies leaves it to the next one. It knows
nothing about drivers, nor about how a call is carried out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kernel.table import digest
from llmagentos.abi.calls.tool import CallResult
from llmagentos.abi.errors import EBUSY, EINVAL, LLMOSError
from llmagentos.abi.model import Json
from llmagentos.abi.process import ErrorRecord
from llmagentos.abi.talk import ChatMessage

if TYPE_CHECKING:
    from kernel.context import Node
    from kernel.machine import Machine
    from kernel.process import Process
    from kernel.tool_job import ToolJob


class Wanted:
    def __init__(self, kernel: Machine) -> None:
        self._kernel = kernel
        self._open: dict[int, dict[str, ToolJob]] = {}
        """By pid, and by the id that the model gave the call."""
        self._held: set[tuple[int, str]] = set()
        """Those that the kernel carries out itself."""

    def key(self, process: Process, id: str) -> str:
        """What makes this call the same one after a crash too. Raises ``EINVAL`` if nobody wants
        it."""
        asked, _ = self._find(process, id)
        if asked is None:
            raise EINVAL(
                f"the last answer in the context of process {process.pid} wants no call {id}",
                hint="append is the id of one of its tool_calls",
            )
        return digest(f"{process.pid} {asked.id} {id}")

    def answered(self, process: Process, id: str) -> CallResult | None:
        """What came of it, if that is in the context already."""
        _, answer = self._find(process, id)
        if answer is None:
            return None
        return CallResult(
            content=answer.content, driver="", seconds=0.0, labels=list(process.labels),
            message=answer.id,
        )  # fmt: skip

    def job(self, process: Process, id: str) -> ToolJob | None:
        """The one under way."""
        return self._open.get(process.pid, {}).get(id)

    def jobs(self, process: Process) -> list[ToolJob]:
        return list(self._open.get(process.pid, {}).values())

    def begun(self, job: ToolJob, id: str) -> None:
        self._open.setdefault(job.process.pid, {})[id] = job

    def over(self, job: ToolJob, id: str) -> None:
        jobs = self._open.get(job.process.pid, {})
        jobs.pop(id, None)
        if not jobs:
            self._open.pop(job.process.pid, None)

    def hold(self, process: Process, id: str) -> None:
        """The kernel is about to make this call itself. Raises ``EBUSY`` if it does so already."""
        if (process.pid, id) in self._held:
            raise EBUSY(f"the call {id} is under way", hint="wait for its reply")
        self._held.add((process.pid, id))

    def release(self, process: Process, id: str) -> None:
        self._held.discard((process.pid, id))

    def settle(self, process: Process, id: str, result: CallResult) -> CallResult:
        """It is done: its result, now also in the context, unless that has been taken back to
        before the answer that wanted it."""
        return result.model_copy(
            update={"message": self._append(process, id, _text(result.content))}
        )

    def fail(self, process: Process, id: str, driver: str, error: LLMOSError) -> CallResult:
        """It was begun and has failed, which is a result as well: the model is told."""
        words = f"{error.code}: {error.message}" + (f" ({error.hint})" if error.hint else "")
        return CallResult(
            content=None, driver=driver, seconds=0.0, message=self._append(process, id, words),
            error=ErrorRecord.of(error),
        )  # fmt: skip

    def _append(self, process: Process, id: str, content: str) -> int | None:
        asked, answer = self._find(process, id)
        if asked is None or answer is not None or not process.alive:
            return None
        message = ChatMessage(role="tool", content=content, tool_call=id)
        return self._kernel.append(process, message).id

    def _find(self, process: Process, id: str) -> tuple[Node | None, Node | None]:
        """The answer that wants the call, and the message with its result: those since the last
        answer that wants any."""
        answer, node = None, process.head
        while node is not None and not node.message.tool_calls:
            if node.message.tool_call == id:
                answer = node
            node = node.parent
        if node is None or all(call.id != id for call in node.message.tool_calls):
            return None, None
        return node, answer


def _text(content: Json) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
