"""One file over HTTP: it resumes where it was cut, retries, and is checked by its sha256.

The part that is here already lies in a ``.partial`` file named by the checksum it will have,
so what another run left is taken up and parts of different files never mix. It knows nothing
about what the file is.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drivers.models.index import reason, without_password
from drivers.models.progress import Progress
from drivers.models.record import sha256_of
from llmagentos.abi.errors import EIO

if TYPE_CHECKING:
    import requests

_ATTEMPTS: Final = 6
_BLOCK: Final = 64 * 1024
_RESUME_HINT: Final = "pull again: it goes on where it stopped"


def open_session() -> requests.Session:
    """A session that retries what a server or a proxy does wrong for a moment."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    retry = Retry(
        total=4,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET",),
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["User-Agent"] = "llmagentos"
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def fetch(
    session: requests.Session, url: str, sha256: str, folder: Path, progress: Progress
) -> Path:
    """Download ``url`` into ``folder`` and return the file, whose sha256 is as wanted.

    A connection that is cut in the middle is taken up again, a few times. Raises ``EIO``; the
    partial file stays, unless its content is wrong.
    """
    import requests

    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{sha256}.partial"
    finished = folder / sha256
    if finished.is_file():
        return finished
    last: Exception | None = None
    stalled = 0
    while stalled < _ATTEMPTS:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _append(session, url, partial, progress)
            break
        except requests.RequestException as error:
            last = error
            after = partial.stat().st_size if partial.exists() else 0
            # An attempt that brought something is no failure: slow lines cut often.
            stalled = 0 if after > before else stalled + 1
            time.sleep(min(0.2 * 2**stalled, 5.0))
    else:
        raise EIO(
            f"the download of {without_password(url)} failed: {reason(last or OSError())}",
            hint=_RESUME_HINT,
        )
    found = sha256_of(partial)
    if found != sha256:
        partial.unlink()
        raise EIO(
            f"{without_password(url)} is not the file that it should be: its sha256 is {found}, "
            f"expected {sha256}; the download was thrown away",
            hint="pull again; if it stays wrong, the index or a proxy between serves another file",
        )
    partial.rename(finished)
    return finished


def _append(session: requests.Session, url: str, partial: Path, progress: Progress) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    # Without `identity` a server may compress, and then a range counts other bytes than ours.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with session.get(url, headers=headers, stream=True, timeout=(15, 60)) as reply:
        if reply.status_code == 416:
            return  # nothing beyond what we have: the checksum will tell
        if reply.status_code not in (200, 206):
            raise EIO(
                f"{without_password(url)} answered {reply.status_code} {reply.reason}",
                hint=_RESUME_HINT,
            )
        if reply.status_code == 200:
            have = 0  # this server knows no ranges, and begins again
        length = int(reply.headers.get("Content-Length", "0"))
        total = have + length if length else 0
        progress("download", have, total, "bytes")
        with partial.open("ab" if have else "wb") as out:
            for block in reply.iter_content(_BLOCK):
                out.write(block)
                have += len(block)
                progress("download", have, total, "bytes")
