"""Faults of an endpoint: whatever goes wrong with it, as one of our errors.

Beside the error it says whether anything can have been used, since that is charged for. What a
provider wrote is passed on, cut short, and without the key. It knows nothing about bursts.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import httpx2

from drivers.cloud.api import Api
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
    r"context[ _](length|size|window|limit)|exceed_context|prompt is too long"
    r"|too many (input )?tokens",
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


def fault_of(error: BaseException, key: Key, api: Api) -> Fault:
    """What was raised while an answer was asked for or listened to."""
    while isinstance(error, api.failed) and error.__cause__ is not None:
        error = error.__cause__  # the library's words for it say less
    # A status that is none of these came with an answer that ended in an error.
    if isinstance(error, api.refused) and _status(error) >= 300:
        return Fault(_refused(error, key), unused=True)
    if isinstance(error, httpx2.TransportError):
        return _unheard(error, key)
    if isinstance(error, api.failed):
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
                hint="is the address that of the API that its driver was told of, with its /v1?",
                detail={"reason": type(error).__name__},
            ),
            unused=False,
        )
    return Fault(typed(error), unused=False)


_AGAIN: Final = "try again; if it stays so, ask who runs it"


def _status(error: Any) -> int:
    status: int = error.status_code
    return status


def _refused(error: Any, key: Key) -> LLMOSError:
    status, said = _status(error), _said(error, key)
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
            if _CONTEXT.search(f"{getattr(error, 'code', None)} {error.type} {said}"):
                return ECONTEXT(text, hint="lower max_tokens or shorten the context", detail=detail)
            return EINVAL(text, hint="the endpoint can't do what was asked for", detail=detail)
        case _ if 300 <= status < 400:
            return EDRIVER(
                f"the endpoint sends us elsewhere, with status {status}",
                hint="give the driver the address where it really is",
                detail=detail,
            )
    return EDRIVER(text, hint=_AGAIN, detail=detail)


def _unheard(error: httpx2.TransportError, key: Key) -> Fault:
    if isinstance(error, httpx2.ConnectTimeout):
        told: LLMOSError = ETIMEOUT("the endpoint can't be reached in time", hint=_REACH)
    elif isinstance(error, httpx2.TimeoutException):
        told = ETIMEOUT("the endpoint did not answer in time", hint=_AGAIN)
    elif isinstance(error, httpx2.ConnectError):
        told = EDRIVER("the endpoint can't be reached", hint=_REACH)
    else:
        told = EDRIVER("the endpoint broke the connection", hint=_AGAIN)
    if str(error):
        told.detail["reason"] = key.redact(str(error))[:_WORDS]
    return Fault(told, unused=not sent(error))


_REACH: Final = "is it running, and are its address and the network right?"


def _said(error: Any, key: Key) -> str:
    """Its own words, on one line."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        body = body.get("error", body)
    words = body.get("message", body) if isinstance(body, dict) else body
    text = " ".join(str(words if words else getattr(error, "message", error)).split())
    text = key.redact(text)
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"
