"""A manifest that a program names by a path: found, and read.

It knows nothing about what is in a manifest.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Mapping
from typing import Any, Final

from llmagentos.abi import errors
from llmagentos.abi.calls.proc import MAX_SOURCE
from llmagentos.exchange import plain

PIPE_PATIENCE: Final = 2.0
"""Seconds that a manifest in a pipe may keep silent: maybe nobody writes to it."""


def manifest_arguments(manifest: str | os.PathLike[str] | Mapping[str, Any]) -> dict[str, Any]:
    """How ``proc.spawn`` is told of a manifest given as a name, a path or a dict.

    A text with a slash in it, or that ends in ``.yaml`` or ``.yml``, is a path.
    """
    if isinstance(manifest, Mapping):
        return {"manifest": plain(manifest)}
    if not isinstance(manifest, str | os.PathLike):
        raise errors.EINVAL(f"a manifest is a name, a path or a dict, not {manifest!r:.100}")
    if isinstance(manifest, str) and not ("/" in manifest or manifest.endswith((".yaml", ".yml"))):
        return {"manifest": manifest}
    path = os.fspath(manifest)
    # A path need not be Unicode, what is sent must be.
    file = os.fsdecode(path).encode("utf-8", "replace").decode()[:4096]
    try:
        source = _read(path, file)
    except FileNotFoundError:
        raise errors.ENOENT(
            f"there is no file {file}",
            hint="give a path to a manifest, or the name of one without a slash",
        ) from None
    except UnicodeDecodeError as error:
        raise errors.EINVAL(
            f"{file} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
        ) from None
    except ValueError:
        raise errors.EINVAL(f"{file!r} is not a path") from None
    except OSError as error:
        raise errors.EIO(f"{file} can't be read: {error.strerror}") from None
    return {"source": source, "file": file, **_folder(path)}


def _folder(path: str | bytes) -> dict[str, str]:
    """Where it is; nothing of a folder that can't be told, since its name is not Unicode."""
    folder = os.fsdecode(os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120
    try:
        folder.encode()
    except UnicodeEncodeError:
        return {}
    return {"folder": folder}


def _read(path: str, file: str) -> str:
    """What is in a file or a pipe. Never more than a manifest may be, and never for ever."""
    # Without O_NONBLOCK the open itself would wait for somebody to write to the pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            kind = "folder" if stat.S_ISDIR(mode) else "device"
            raise errors.EINVAL(f"{file} is a {kind}, not a manifest")
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        data, part = b"", b" "
        while part and len(data) <= 4 * MAX_SOURCE:  # UTF-8's longest character has 4 bytes
            if not poller.poll(PIPE_PATIENCE * 1000):
                raise errors.EINVAL(f"nothing came out of the pipe {file}; does it have a writer?")
            part = os.read(descriptor, 64 * 1024)
            data += part
    finally:
        os.close(descriptor)
    if len(data) > 4 * MAX_SOURCE or len(text := data.decode("utf-8")) > MAX_SOURCE:
        raise errors.EINVAL(
            f"{file} is too large for a manifest; the most is {MAX_SOURCE:,} characters"
        )
    return text
