"""The ``ipc`` family: mail between processes, and topics."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernel.calls import Call, Deferred
from kernel.mail import Wish, ended
from llmagentos.abi.calls.ipc import (
    MAX_MAIL,
    PublishArgs,
    PublishResult,
    RecvArgs,
    RecvResult,
    SendArgs,
    SendResult,
    SubscribeArgs,
    SubscribeResult,
)
from llmagentos.abi.errors import EINVAL
from llmagentos.abi.model import Json

if TYPE_CHECKING:
    from kernel.machine import Machine


def send(kernel: Machine, call: Call, args: SendArgs) -> SendResult | Deferred:
    target = kernel.table.find(args.pid)
    if target is None or not target.alive:
        raise ended(args.pid)
    return kernel.mail.send(call, target, _written(args.body), args.wait)


def recv(kernel: Machine, call: Call, args: RecvArgs) -> RecvResult | Deferred:
    return kernel.mail.recv(call, Wish(args.limit, args.append), args.block, args.timeout)


def publish(kernel: Machine, call: Call, args: PublishArgs) -> PublishResult:
    seq = kernel.mail.topics.publish(call.process, args.topic, _written(args.body))
    return PublishResult(seq=seq)


def subscribe(kernel: Machine, call: Call, args: SubscribeArgs) -> SubscribeResult | Deferred:
    return kernel.mail.topics.subscribe(
        call, args.topic, args.since, args.limit, args.block, args.timeout
    )


def _written(body: Json) -> str:
    """As JSON. Raises ``EINVAL`` if that is too long."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > MAX_MAIL:
        raise EINVAL(
            f"the body takes {size:,} bytes; the most is {MAX_MAIL:,}",
            hint="put it into a file or into memory, and send where it is",
            detail={"size": size, "limit": MAX_MAIL},
        )
    return text


HANDLERS: dict[str, Callable[..., Any]] = {
    "ipc.send": send,
    "ipc.recv": recv,
    "ipc.publish": publish,
    "ipc.subscribe": subscribe,
}
