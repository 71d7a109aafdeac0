"""What ``config.yaml`` says of a driver for an endpoint in the cloud, and its command line.

Keys are never in it: only where they are. It knows nothing about the other kinds of drivers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from llmagentos.abi.cards import Price
from llmagentos.abi.model import MAX_COUNT, Model, ModelName

_HERE: Final = ("localhost", "127.0.0.1", "::1")
_KEYRING: Final = "keyring:"
_PLACE: Final = re.compile(r"[A-Z_][A-Z0-9_]*|keyring:[^/\s]+/\S+")

Some = Annotated[int, Field(ge=1, le=MAX_COUNT)]


class CloudFields(Model):
    """The fields of a driver that only one of kind ``cloud`` has. ``models``: a list, or a map from
    our names to theirs. ``key``: an environment variable's name, or ``keyring:service/user``."""

    endpoint: str | None = Field(None, description="base URL of an API, such as https://…/v1")
    api: Literal["openai", "anthropic"] | None = Field(
        None, description="which API it has; default: openai, as most do"
    )
    models: list[ModelName] | dict[ModelName, ModelName] | None = Field(None, min_length=1)
    key: str | None = None
    zone: str | None = Field(None, description="where it computes; default: cloud")
    continues: Literal["none", "prefill", "vllm", "prefix"] | None = Field(
        None, description="how it goes on with a text that another driver began"
    )
    context_length: Some | dict[ModelName, Some] | None = None
    requests_per_minute: Some | None = None
    tokens_per_minute: Some | None = None
    patience: float | None = Field(
        None, ge=0, le=3600, description="seconds for which it is asked again if it refuses"
    )

    @field_validator("endpoint")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("give its base URL, such as https://api.openai.com/v1")
        if url is not None and "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError("a key has no place in it; name where the key is with key")
        return url

    @field_validator("key")
    @classmethod
    def _only_where(cls, key: str | None) -> str | None:
        # What was written may be the key itself, so it is not said back.
        if key is not None and not _PLACE.fullmatch(key):
            raise ValueError(
                "name an environment variable, or keyring:service/user; the key itself has no "
                "place in this file"
            )
        return key

    def check_endpoint(self) -> None:
        for name in ("endpoint", "models"):
            if getattr(self, name) is None:
                raise ValueError(f"a cloud driver needs {name}")
        if self.api == "anthropic" and self.continues not in (None, "none", "prefill"):
            raise ValueError(f"continues: {self.continues} is not in the API of anthropic")
        if self.zone == "device" and urlsplit(self.endpoint or "").hostname not in _HERE:
            raise ValueError("its endpoint is not on this device, so its zone is another")

    def check_no_endpoint(self, kind: str) -> None:
        given = next((name for name in CloudFields.model_fields if getattr(self, name)), None)
        if given:
            raise ValueError(f"a {kind} driver has no {given}; drivers of kind cloud have one")

    def endpoint_options(self, prices: Mapping[str, Price]) -> list[str]:
        """Nothing for another kind of driver."""
        if self.endpoint is None or self.models is None:
            return []
        words = ["--endpoint", self.endpoint]
        theirs = self.models if isinstance(self.models, dict) else dict.fromkeys(self.models, "")
        for name, there in theirs.items():
            words += ["--model", f"{name}={there}" if there else name]
            if name in prices:
                words += ["--price-prompt", f"{name}={prices[name].prompt}"]
                words += ["--price-completion", f"{name}={prices[name].completion}"]
        if self.key is not None:
            keyring = self.key.startswith(_KEYRING)
            words += ["--key-keyring" if keyring else "--key-env", self.key.removeprefix(_KEYRING)]
        for length in self._lengths():
            words += ["--context-length", length]
        rest = {
            "--api": self.api,
            "--zone": self.zone,
            "--continues": self.continues,
            "--requests-per-minute": self.requests_per_minute,
            "--tokens-per-minute": self.tokens_per_minute,
            "--patience": self.patience,
        }
        return words + [str(w) for pair in rest.items() if pair[1] is not None for w in pair]

    def _lengths(self) -> list[str]:
        if isinstance(self.context_length, dict):
            return [f"{name}={length}" for name, length in self.context_length.items()]
        return [] if self.context_length is None else [str(self.context_length)]
