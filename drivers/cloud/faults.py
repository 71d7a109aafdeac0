"""Faults of an endpoint: whatever goes wrong with it, as one of our errors.

Beside the error it says whether anything can have been used, since that is charged for. What a
provider wrote is passed on, cut short, and without the key. It knows nothing about bursts.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import httpx2
import openai

from drivers.cloud.key import Key
from drivers.cloud.limits import retry_after
from drivers.faults import typed
from llmagentos.abi.errors import (
    EAUTH,
    ECONTEXT,
    EDRIVER,
    EINVAL,
    ENOENT,
    ERATE,
    ETIMEOUT,
    LLMOSError,
)

_WORDS: Final = 500
"""Characters of what a provider said."""

_CONTEXT: Final = re.compile(
    r"context[ _](length|size|window)|exceed_context|prompt is too long|too many (input )?tokens",
    re.IGNORECASE,
)
_BEFORE: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""The request was not even sent."""


class Fault(NamedTuple):
    """``unused``: nothing was, for certain."""

    error: LLMOSError
    unused: bool


def sent(error: BaseException) -> bool:
    """May the endpoint have got the request that ended so?"""
    return not isinstance(error, _BEFORE)


def fault_of(error: BaseException, key: Key) -> Fault:
    """What was raised while an answer was asked for or listened to."""
    if isinstance(error, openai.APIStatusError):
        return Fault(_refused(error, key), unused=True)
    if isinstance(error, openai.APIConnectionError):
        return _unheard(error, key)
    if isinstance(error, openai.APIError):
        # It has begun to answer, and then says this in place of a token.
        said = _said(error, key)
        kind = ECONTEXT if _CONTEXT.search(said) else EDRIVER
        return Fault(kind(f"the endpoint broke its answer off: {said}", hint=_AGAIN), unused=False)
    if isinstance(error, TimeoutError):
        return Fault(ETIMEOUT("the endpoint did not answer in time", hint=_AGAIN), unused=False)
    if isinstance(error, ValueError):
        return Fault(
            EDRIVER(
                "the endpoint sent what is no chat completion",
                hint="is the address that of an OpenAI-compatible API, with its /v1?",
                detail={"reason": type(error).__name__},
            ),
            unused=False,
        )
    return Fault(typed(error), unused=False)


_AGAIN: Final = "try again; if it stays so, ask who runs it"


def _refused(error: openai.APIStatusError, key: Key) -> LLMOSError:
    status, said = error.status_code, _said(error, key)
    detail: dict[str, Any] = {"status": status}
    text = f"the endpoint refused with status {status}: {said}"
    match status:
        case 401 | 403:
            return EAUTH(text, hint=f"the key is from {key.source}", detail=detail)
        case 404:
            return ENOENT(
                text, hint="is that its address, and the model's name there?", detail=detail
            )
        case 429:
            wait = retry_after(error.response.headers)
            if wait is not None:
                detail["retry_after"] = wait
            return ERATE(text, hint="it takes no more for now: wait, or buy more", detail=detail)
        case 408 | 504:
            return ETIMEOUT(text, hint=_AGAIN, detail=detail)
        case 413:
            return ECONTEXT(text, hint="shorten the context", detail=detail)
        case _ if 400 <= status < 500:
            if _CONTEXT.search(f"{error.code} {error.type} {said}"):
                return ECONTEXT(text, hint="lower max_tokens or shorten the context", detail=detail)
            return EINVAL(text, hint="the endpoint can't do what was asked for", detail=detail)
        case _ if 300 <= status < 400:
            return EDRIVER(
                f"the endpoint sends us elsewhere, with status {status}",
                hint="give the driver the address where it really is",
                detail=detail,
            )
    return EDRIVER(text, hint=_AGAIN, detail=detail)


def _unheard(error: openai.APIConnectionError, key: Key) -> Fault:
    cause = error.__cause__
    late = isinstance(error, openai.APITimeoutError)
    if late and isinstance(cause, httpx2.ConnectTimeout):
        told: LLMOSError = ETIMEOUT("the endpoint can't be reached in time", hint=_REACH)
    elif late:
        told = ETIMEOUT("the endpoint did not answer in time", hint=_AGAIN)
    elif isinstance(cause, httpx2.ConnectError):
        told = EDRIVER("the endpoint can't be reached", hint=_REACH)
    else:
        told = EDRIVER("the endpoint broke the connection", hint=_AGAIN)
    if cause is not None and str(cause):
        told.detail["reason"] = key.redact(str(cause))[:_WORDS]
    return Fault(told, unused=cause is not None and not sent(cause))


_REACH: Final = "is it running, and are its address and the network right?"


def _said(error: openai.APIError, key: Key) -> str:
    """Its own words, on one line."""
    body = error.body
    words = body.get("message", body) if isinstance(body, dict) else body
    text = " ".join(str(words if words else error.message).split())
    text = key.redact(text)
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"
