"""Load: clients of the raw wire, so that what is measured is the kernel and not a client library.

The same frames go to a bare ROUTER echo and to the kernel; what the kernel adds is the ratio. It
knows nothing about what the calls mean.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import zmq

from llmagentos.abi import wire

Body = Callable[[int], dict[str, Any]]
"""The arguments of the n-th call."""


def echo(address: str) -> None:
    """A ROUTER that sends back what it gets."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.bind(address)
    while True:
        socket.send_multipart(socket.recv_multipart())


@contextmanager
def echo_server(address: str) -> Iterator[str]:
    """An echo in a process of its own, like the kernel."""
    server = multiprocessing.get_context("spawn").Process(target=echo, args=(address,), daemon=True)
    server.start()
    try:
        yield address
    finally:
        server.terminate()
        server.join()


@dataclass(frozen=True, slots=True)
class Taken:
    """What a run took. ``times``: of each call, seconds, sorted; ``seconds``: of the whole run."""

    times: list[float]
    seconds: float

    @property
    def p50(self) -> float:
        return statistics.median(self.times) * 1e6

    @property
    def p99(self) -> float:
        return self.times[int(len(self.times) * 0.99)] * 1e6

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds


class Client:
    """One connection. ``session``: the token that its calls carry."""

    _ids = count(1)

    def __init__(self, address: str, session: str) -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ROUTING_ID, f"bench-{next(self._ids)}-{id(self)}".encode())
        self.socket.connect(address)
        self.session = session
        self._numbers = count(1)

    def send(self, name: str, body: dict[str, Any]) -> None:
        message = wire.Message("call", next(self._numbers), name, self.session, body)
        self.socket.send_multipart(wire.encode(message))

    def receive(self) -> dict[str, Any]:
        """The body of the next reply."""
        return wire.decode(self.socket.recv_multipart()).body

    def call(self, name: str, **body: Any) -> dict[str, Any]:
        self.send(name, body)
        reply = self.receive()
        if not reply["ok"]:
            raise RuntimeError(f"{name}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result

    def close(self) -> None:
        self.socket.close()


def one_by_one(client: Client, name: str, body: Body, calls: int, warm: int = 100) -> Taken:
    """One call after the other, once up to ``warm`` of them were made."""
    for number in range(min(warm, calls)):
        client.send(name, body(number))
        client.socket.recv_multipart()
    times = []
    began = time.perf_counter()
    for number in range(calls):
        start = time.perf_counter()
        client.send(name, body(number))
        client.socket.recv_multipart()
        times.append(time.perf_counter() - start)
    return Taken(sorted(times), time.perf_counter() - began)


def in_flight(client: Client, name: str, body: Body, calls: int, width: int = 64) -> Taken:
    """So many calls in flight on one connection; a new one for each reply."""
    sent: list[float] = []
    times: list[float] = []
    began = time.perf_counter()
    for number in range(width):
        sent.append(time.perf_counter())
        client.send(name, body(number))
    for number in range(calls):
        client.socket.recv_multipart()
        times.append(time.perf_counter() - sent[number])
        if number + width < calls:
            sent.append(time.perf_counter())
            client.send(name, body(number + width))
    return Taken(sorted(times), time.perf_counter() - began)


def together(clients: list[Client], name: str, body: Body, calls: int) -> Taken:
    """Many clients at once, each with one call in flight."""
    poller = zmq.Poller()
    at: dict[Any, tuple[Client, float]] = {}
    began = time.perf_counter()
    started = 0
    for client in clients:
        poller.register(client.socket, zmq.POLLIN)
        at[client.socket] = (client, time.perf_counter())
        client.send(name, body(started))
        started += 1
    times: list[float] = []
    while len(times) < calls:
        for socket, _ in poller.poll():
            client, sent = at[socket]
            client.socket.recv_multipart()
            times.append(time.perf_counter() - sent)
            if started < calls:
                at[socket] = (client, time.perf_counter())
                client.send(name, body(started))
                started += 1
    return Taken(sorted(times), time.perf_counter() - began)
