"""Names: what a server's tool is called here, ``<driver>.<tool>``.

Servers may use characters that we do not. Each byte of those becomes ``_-`` and two hexadecimal
digits, and so does an underscore that a minus follows: thus no two names become the same, and
the name can be told from what it became. It knows nothing about tools.
"""

from __future__ import annotations

import re

from pydantic import TypeAdapter, ValidationError

from llmagentos.abi.cards import ToolName

_FOREIGN = re.compile(r"[^A-Za-z0-9._-]|_(?=-)")
_NAMES: TypeAdapter[str] = TypeAdapter(ToolName)


def offered(driver: str, tool: str) -> str | None:
    """None, if it is too long for a name."""
    try:
        return _NAMES.validate_python(f"{driver}.{_FOREIGN.sub(_escaped, tool)}")
    except ValidationError:
        return None


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"_-{byte:02x}" for byte in found.group().encode("utf-8", "surrogatepass"))
