"""A driver whose tools are functions of the test.

What a function takes is read from its annotations, and told to the model as a JSON Schema. It
knows nothing about what the functions do.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ArgsKwargs, to_jsonable_python

from llmagentos.abi.cards import ToolCard
from llmagentos.abi.driver import Registration
from llmagentos.abi.errors import EDRIVER, EINVAL, LLMOSError
from llmagentos.abi.jobs import JobRef, JobResult, ToolOrder
from llmagentos.abi.model import Model
from llmagentos.abi.process import ErrorRecord
from llmagentos.home import Home
from llmagentos.testing.driver import Driver
from llmagentos.testing.script import sayable


class Functions(Driver):
    """Each is called in a thread of its own, with the arguments by their names. What it returns is
    the result; an ``LLMOSError`` that it raises is told as it is, anything else as ``EDRIVER``."""

    def __init__(self, home: Home, tools: Mapping[str, Callable[..., Any]]) -> None:
        self._tools = {name: _shape(function) for name, function in tools.items()}
        cards = [_card(name, tools[name], shape) for name, shape in self._tools.items()]
        card = Registration(
            name="functions", kind="tool", slots=64, tools=cards, labels=["private"], state="ready"
        )
        super().__init__(home, card)
        self._aborted: set[int] = set()

    def heed(self, kind: str, order: Model | None) -> None:
        if isinstance(order, ToolOrder):
            threading.Thread(target=self._do, args=(order,), daemon=True).start()
        elif isinstance(order, JobRef):
            self._aborted.add(order.job)

    def _do(self, order: ToolOrder) -> None:
        try:
            self._tell(order, JobResult(job=order.job, content=self._made(order)))
        except LLMOSError as error:
            self._tell(order, JobResult(job=order.job, error=ErrorRecord.of(error)))
        except BaseException as error:  # pytest.fail and the like are no Exception
            words = sayable(f"{order.tool} failed: {type(error).__name__}: {error}")
            self._tell(order, JobResult(job=order.job, error=ErrorRecord.of(EDRIVER(words))))

    def _made(self, order: ToolOrder) -> Any:
        """Raises ``EINVAL`` for arguments that the function can't take."""
        try:
            given = ArgsKwargs((), order.arguments)
            return to_jsonable_python(self._tools[order.tool].validate_python(given))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise EINVAL(f"{order.tool} can't take this: {where}: {problem['msg']}") from None

    def _tell(self, order: ToolOrder, result: JobResult) -> None:
        if order.job not in self._aborted:
            self.say(result)


def _shape(function: Any) -> TypeAdapter[Any]:
    """What it takes; to validate that is to call it."""
    return TypeAdapter(function)


def _card(name: str, function: Callable[..., Any], shape: TypeAdapter[Any]) -> ToolCard:
    return ToolCard(
        name=name,
        description=inspect.getdoc(function) or "",
        parameters=shape.json_schema(),
    )
