"""The families of syscalls as attributes of a session: ``system.mem.put(key="a", value=1)``.

Made from the table of syscalls when they are first used, so a call that is in the table is here.
What each takes and gives stands in ``families.pyi``, which is made from the table as well
(``docs/generate.py``), for editors and type checkers. A result is a record, not a map. A call that
can stream does not do so here: see ``generate_stream`` and ``open``. It knows nothing about what
any call does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NAMES = frozenset(("proc", "llm", "ctx", "mem", "fs", "ipc", "tool", "cap", "drv", "sys"))


class Families:
    """What a session is based on that makes its calls at once."""

    def __getattr__(self, name: str) -> Any:
        return _family(self, name, _Family)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *NAMES]


class AsyncFamilies:
    """The same for one whose calls are awaited."""

    def __getattr__(self, name: str) -> Any:
        return _family(self, name, _AsyncFamily)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *NAMES]


def _family(system: Any, name: str, kind: type[_Family]) -> Any:
    if name not in NAMES:
        raise AttributeError(f"{type(system).__name__!r} object has no attribute {name!r}")
    # Kept for next time: it is found without coming here then.
    system.__dict__[name] = family = kind(system, name)
    return family


class _Family:
    def __init__(self, system: Any, name: str) -> None:
        self._system = system
        self._name = name

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from llmagentos.abi.syscalls import TABLE  # short commands do without it

        call = TABLE.get(f"{self._name}.{name}")
        if call is None:
            raise AttributeError(
                f"there is no syscall {self._name}.{name}; there are {', '.join(dir(self))}"
            )
        made = self._call(call.name, call.result)
        # Python's own words for a wrong use name it by the second.
        made.__name__, made.__qualname__, made.__doc__ = name, call.name, call.doc
        self.__dict__[name] = made
        return made

    def __dir__(self) -> list[str]:
        from llmagentos.abi.syscalls import TABLE

        return [call.name.partition(".")[2] for call in TABLE.values() if call.family == self._name]

    def _call(self, name: str, result: Any) -> Callable[..., Any]:
        def call(*, within: float | None = None, **args: Any) -> Any:
            return result.model_validate(self._system.call(name, within=within, **args))

        return call


class _AsyncFamily(_Family):
    def _call(self, name: str, result: Any) -> Callable[..., Any]:
        async def call(*, within: float | None = None, **args: Any) -> Any:
            return result.model_validate(await self._system.call(name, within=within, **args))

        return call
