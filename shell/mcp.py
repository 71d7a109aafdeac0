"""What ``config.yaml`` says of a driver for an MCP server, and its command line.

Secrets are never in it: only the names of the variables that hold them. It knows nothing about the
other kinds of drivers.
"""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import Field, field_validator

from llmagentos.abi.model import Model, Name

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of a variable of the environment."""


class McpFields(Model):
    """The fields of a driver that only one of kind ``mcp`` has. ``env``: what the server gets of
    our environment beside ``PATH``, ``HOME`` and ``LANG``. ``token``: for a ``url``, the variable
    that holds its bearer token."""

    command: list[str] | None = Field(None, min_length=1, description="program and arguments")
    url: str | None = Field(None, description="where it is, for streamable HTTP")
    env: list[Variable] = Field(default_factory=list)
    token: Variable | None = None
    result_labels: list[Name] = Field(
        default_factory=list, description="labels for what its tools give"
    )

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("give the server's URL, such as https://mcp.example.org/mcp")
        return url

    def check_server(self) -> None:
        if (self.command is None) == (self.url is None):
            raise ValueError("an mcp driver needs either a command or a url")
        if self.url is not None and self.env:
            raise ValueError("env is for a server with a command; for a url there is token")
        if self.command is not None and self.token is not None:
            raise ValueError("token is for a server with a url; for a command there is env")

    def check_no_server(self, kind: str) -> None:
        given = next((name for name in McpFields.model_fields if getattr(self, name)), None)
        if given:
            raise ValueError(f"a {kind} driver has no {given}; drivers of kind mcp have one")

    def server_options(self) -> list[str]:
        """Nothing for another kind of driver."""
        words = [] if self.command is None else ["--stdio", shlex.join(self.command)]
        words += [] if self.url is None else ["--url", self.url]
        for variable in self.env:
            words += ["--env", variable]
        words += [] if self.token is None else ["--token-env", self.token]
        for label in self.result_labels:
            words += ["--result-label", label]
        return words
