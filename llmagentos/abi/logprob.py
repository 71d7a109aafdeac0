"""Tokens, and how likely a model found them. It knows nothing about who asks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from llmagentos.abi.model import Model

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
"""Also a number of tokens: no vocabulary and no context is larger."""


class TokenLogprob(Model):
    """``logprob``: natural logarithm of the probability that the model gave to the token, before
    penalties, grammar and temperature."""

    token: TokenId
    text: str
    logprob: float


class ChosenLogprob(TokenLogprob):
    """Of a token of an answer; ``top``: the likeliest in its place."""

    top: list[TokenLogprob] = Field(default_factory=list, max_length=20)
