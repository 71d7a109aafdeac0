"""Cards: what a driver offers, as it registers it: models and tools, prices and rates.

It knows nothing about messages, nor about who is given what.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from llmagentos.abi.model import MAX_COUNT, Count, Json, Model, ModelName, Name

ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class Price(Model):
    """Currency units for a million tokens."""

    prompt: float = Field(ge=0, le=1e9)
    completion: float = Field(ge=0, le=1e9)


FREE: Final = Price(prompt=0, completion=0)


class ModelCard(Model):
    """A model that a driver offers. Without a ``price`` it is refused where money is limited.
    ``embeds``: it makes vectors, not text."""

    name: ModelName
    context_length: int = Field(
        ge=1, le=MAX_COUNT, description="tokens, prompt and answer together"
    )
    dtype: str = ""
    parameters: Count = 0
    price: Price | None = None
    kv_bytes_per_token: Count = Field(0, description="0: not known, or not on this device")
    embeds: bool = False


class ToolCard(Model):
    """A tool that a driver offers. ``labels``: what its results are labelled with."""

    name: ToolName
    description: str = Field("", max_length=10_000)
    parameters: dict[str, Json] = Field(
        default_factory=dict, description="JSON Schema of its arguments"
    )
    labels: list[Name] = Field(default_factory=list, max_length=32)
    parallel: bool = Field(
        False, description="it may be called beside others that an answer wants called"
    )


class Rate(Model):
    """What a provider lets through: at most ``limit`` in ``period`` seconds, of which ``left`` are
    there now (all of them, if it does not say). Tokens are counted as the provider reserves them:
    those of the prompt and the most that the answer may have."""

    what: Literal["requests", "tokens"]
    limit: int = Field(ge=1, le=MAX_COUNT)
    period: float = Field(60.0, gt=0, le=1e7)
    left: Count | None = None
