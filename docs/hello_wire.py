"""Run an agent with nothing but ZeroMQ and msgpack, as ``docs/wire.md`` says.

``echo "A long text." | python docs/hello_wire.py [MANIFEST]``: prints the answer as it is made,
and exits with the agent's code, or 3 without a system. It knows nothing about reconnecting.
"""

import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import zmq

home = Path(os.environ.get("LLMOS_HOME") or "~/.llmos").expanduser().absolute()
key_file = home / "user.key"
key = key_file.read_text().strip() if key_file.exists() else ""
ids = itertools.count(time.time_ns() // 1000)
socket = zmq.Context().socket(zmq.DEALER)
socket.setsockopt(zmq.ROUTING_ID, b"h" + os.urandom(15))
socket.setsockopt(zmq.LINGER, 0)
socket.connect(f"ipc://{home}/run/kernel.sock")


def call(name: str, **body: Any) -> dict[str, Any]:
    """Make a call, print what it streams, and return its result."""
    header = {"v": 1, "t": "call", "id": next(ids), "n": name, "s": key}
    socket.send_multipart([msgpack.packb(header), msgpack.packb(body)])
    if name == "proc.spawn" and not (key and socket.poll(5000)):
        print(f"the system in {home} is not up", file=sys.stderr)
        sys.exit(3)
    while True:
        header, message = map(msgpack.unpackb, socket.recv_multipart())
        if header["t"] == "stream":
            print(message["text"], end="", flush=True)
        elif not message["ok"]:
            sys.exit("{message} ({code}) {hint}".format(**message["error"]))
        else:
            return dict(message["result"])


manifest = sys.argv[1] if len(sys.argv) > 1 else "summarise"
agent = call("proc.spawn", manifest=manifest, text=sys.stdin.read().strip())
record = call("proc.wait", pid=agent["pid"], stream=True)
print()
if record["error"]:
    print(record["error"]["message"], file=sys.stderr)
sys.exit(record["code"])
