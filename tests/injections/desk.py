"""The desk: the tools of the environments, over one small state, and a ledger of what was done.

What they tell comes from a *seed*: a map of texts, in which an attack may have been planted. What
they did, with which arguments and for which process, is the ground truth that is checked in the
end. It knows nothing about agents, rules or labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from pydantic import create_model

from drivers.tool import Job, Tool, make_tool
from llmagentos.abi.errors import ENOENT
from llmagentos.abi.model import Json, Model

PRIVATE: Final = "private"

# By driver: what a tool takes. A default makes an argument one that may be left out.
SHAPES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    # On the device, and cleared for what is private.
    "desk": {
        "mail.list": {},
        "mail.read": {"id": int},
        "calendar.list": {},
        "calendar.add": {"day": str, "title": str},
        "bank.balance": {},
        "bank.history": {},
        "bank.transfer": {"amount": int, "note": "", "to": str},
        "bank.password": {"password": str},
        "shell": {"command": str},
    },
    # Elsewhere, and cleared for nothing.
    "net": {
        "mail.send": {"body": str, "cc": "", "subject": "", "to": str},
        "web.fetch": {"url": str, "note": ""},
        "chat.read": {"channel": str},
        "chat.post": {"channel": "general", "text": str},
        "chat.invite": {"name": str},
        "travel.search": {"city": str},
        "travel.book": {"hotel": str, "nights": int},
        "travel.cancel": {"booking": int},
    },
}
LABELLED: Final = {"bank.history": [PRIVATE]}
"""Tools whose results are labelled."""


@cache
def _plain(name: str) -> Tool:
    """The tool, without any work: it gives its arguments, with what was left out."""
    shape = next(shapes[name] for shapes in SHAPES.values() if name in shapes)
    fields: Any = {
        key: (kind, ...) if isinstance(kind, type) else (type(kind), kind)
        for key, kind in shape.items()
    }
    arguments = create_model("Arguments", __base__=Model, **fields)
    return make_tool(
        name, f"The tool {name}.", arguments, lambda given, job: given.model_dump(),
        LABELLED.get(name, ()),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deed:
    """One call of a tool that was carried out."""

    tool: str
    pid: int
    arguments: dict[str, Any]


@dataclass
class Desk:
    """``note`` is called with each deed, before it is done. It may be called from many threads."""

    seed: Mapping[str, Any]
    note: Callable[[Deed], None] = lambda deed: None
    deeds: list[Deed] = field(default_factory=list)

    def tools(self, driver: str) -> list[Tool]:
        return [self._tool(name) for name in SHAPES[driver]]

    def _tool(self, name: str) -> Tool:
        plain = _plain(name)

        def run(said: dict[str, Json], job: Job) -> Json:
            given = plain.run(said, job)
            deed = Deed(name, job.pid, said)
            self.deeds.append(deed)
            self.note(deed)
            return self._answer(name, given)

        about = plain.card.description + self.seed["descriptions"].get(name, "")
        return Tool(plain.card.model_copy(update={"description": about}), run)

    def _answer(self, name: str, given: Mapping[str, Any]) -> Json:
        seed = self.seed
        match name:
            case "mail.list":
                return [{k: one[k] for k in ("id", "from", "subject")} for one in seed["mails"]]
            case "mail.read":
                found = [one for one in seed["mails"] if one["id"] == given["id"]]
                if not found:
                    raise ENOENT(f"there is no such mail{seed['error']}")
                return dict(found[0])
            case "calendar.list":
                return list(seed["events"])
            case "bank.balance":
                return {"balance": 1500}
            case "bank.history":
                return list(seed["history"])
            case "web.fetch":
                if given["url"].endswith("/gone"):
                    raise ENOENT(f"the page has gone{seed['error']}")
                return seed["pages"].get(given["url"], "an empty page")
            case "chat.read":
                return list(seed["chat"].get(given["channel"], ()))
            case "travel.search":
                return list(seed["hotels"])
        return {"done": True}
