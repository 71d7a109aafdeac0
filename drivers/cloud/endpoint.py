"""What is declared of an endpoint: where it is, what it knows, and how long it is waited for.

Nothing is found out by trying: endpoints that don't know a field ignore it, or fail in their own
ways. It knows nothing about HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from drivers.cloud.api import ApiName
from llmagentos.abi.driver import Feature
from llmagentos.abi.errors import EINVAL

Continues = Literal["none", "prefill", "vllm", "prefix"]
EXTRAS: Final = ("top_k", "min_p", "repetition_penalty")
"""Ways of sampling that not every endpoint knows."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``api``: the dialect that it speaks. ``upstream``: what each model is called there.
    ``own_sampling``: what is said of how tokens are chosen is left out. ``continues``: how it is
    told to go on with a text. ``knows``: which ``EXTRAS``, and by which names. ``seed``: the field
    for it, if any. Times in seconds: ``patience`` is how long it may refuse before that is an
    error."""

    url: str
    upstream: Mapping[str, str]
    api: ApiName = "openai"
    own_sampling: bool = False
    continues: Continues = "none"
    limit_field: str = "max_tokens"
    seed: str | None = "seed"
    knows: Mapping[str, str] = field(default_factory=dict)
    grammar: bool = False
    tools: bool = True
    patience: float = 30.0
    connect: float = 5.0
    first_token: float = 60.0
    between: float = 30.0

    @property
    def features(self) -> list[Feature]:
        offered: dict[Feature, bool] = {
            "tools": self.tools,
            "grammar": self.grammar,
            "resume_text": self.continues != "none",
        }
        return [feature for feature, there in offered.items() if there]


def checked_url(url: str) -> str:
    """The base URL, if it is one. Passwords in it would be in logs and process lists."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EINVAL(
            f"{parts._replace(netloc=parts.netloc.rpartition('@')[2], query='').geturl()!r} is no "
            "base URL of an endpoint",
            hint="such as https://api.openai.com/v1 or http://127.0.0.1:8080/v1",
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise EINVAL(
            f"the base URL of {parts.hostname} has a password, a query or a fragment in it",
            hint="name the variable with the key in --key-env",
        )
    return url.rstrip("/")
