"""The files of keys: the kernel's own pair, the public keys of its nodes, and a node's file.

    LLMOS_HOME/server.key       the kernel's CURVE keypair, mode 0600
    LLMOS_HOME/keys/NAME.json   the public key of a node, with its zone and labels
    NAME.key                    on the node's machine, mode 0600: its keypair, and the kernel's key

It knows nothing about who asks for a key, and what it opens.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final, TypeVar

import zmq
from pydantic import ValidationError

from llmagentos.abi.errors import EAUTH, EBUSY, EINVAL, EIO, ENOENT
from llmagentos.abi.keys import CurveKey, NodeFile, NodeKey
from llmagentos.abi.model import Model
from llmagentos.home import Home

_LONGEST: Final = 64 * 1024
_OTHERS: Final = 0o077

Shape = TypeVar("Shape", bound=Model)


class ServerKeys(Model):
    """The kernel's keypair."""

    public: CurveKey
    secret: CurveKey


def keypair() -> tuple[str, str]:
    """A new one: public, secret."""
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def server_keys(home: Home) -> ServerKeys:
    """The kernel's, made when they are first asked for, by whoever does so first."""
    if not home.server_key_file.exists():
        public, secret = keypair()
        made = ServerKeys(public=public, secret=secret)
        with contextlib.suppress(FileExistsError):  # whose it is, that one counts
            _write_new(home.server_key_file, made.model_dump_json())
    try:
        return _read(home.server_key_file, ServerKeys)
    except (OSError, ValueError) as error:
        raise EAUTH(
            f"{home.server_key_file} holds no keypair: {_said(error)}",
            hint="remove it, and a new one is made; every node then needs a new key",
        ) from None


def key_file(home: Home, name: str) -> Path:
    """Where the public key of a node is kept. The caller has checked the name."""
    return home.keys / f"{name}.json"


def read_keys(home: Home) -> tuple[list[NodeKey], list[str]]:
    """The keys in the folder, by name, and what is wrong with each file that is none."""
    keys, wrong = [], []
    for file in sorted(home.keys.glob("*.json")):
        try:
            key = _read(file, NodeKey)
        except FileNotFoundError:
            continue  # it was revoked just now
        except (OSError, ValueError) as error:
            wrong.append(f"{file} grants nothing: {_said(error)}")
            continue
        if key.name == file.stem:
            keys.append(key)
        else:
            wrong.append(f"{file} grants nothing: it is the key of {key.name}")
    return keys, wrong


def read_node_file(file: Path) -> NodeFile:
    """The key of the node that we are. Raises ``ENOENT``, ``EAUTH`` and ``EINVAL``."""
    hint = "llmos keys new NAME makes one, where the system is"
    try:
        if file.stat().st_mode & _OTHERS:
            raise EAUTH(f"other users can read {file}", hint=f"chmod 600 {file}")
        return _read(file, NodeFile)
    except FileNotFoundError:
        raise ENOENT(f"there is no key {file}", hint=hint) from None
    except OSError as error:
        raise EAUTH(f"{file} can't be read: {_said(error)}", hint=hint) from None
    except ValueError as error:
        raise EINVAL(f"{file} is no key of a node: {_said(error)}", hint=hint) from None


def _write_new(file: Path, text: str) -> None:
    """A file that only this user can read, all of it at once. ``FileExistsError`` if there is one
    of that name: nothing is ever written over."""
    descriptor, fresh = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.link(fresh, file)
    finally:
        Path(fresh).unlink(missing_ok=True)


def hand_out(file: Path, node: NodeFile) -> None:
    """Write a node's file. Raises ``EBUSY`` if there is one of that name, and ``EIO``."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        # Not by way of a link, which the file system of a memory stick may not have.
        with os.fdopen(os.open(file, flags, 0o600), "w", encoding="utf-8") as out:
            out.write(node.model_dump_json() + "\n")
    except FileExistsError:
        raise EBUSY(
            f"there is a file {file} already", hint="choose another one with --out"
        ) from None
    except OSError as error:
        raise EIO(f"{file} can't be written: {_said(error)}", hint="see --out") from None


def grant(home: Home, key: NodeKey) -> None:
    """Keep a node's public key: from now on it is let in. Raises ``EBUSY`` for a name taken."""
    try:
        _write_new(key_file(home, key.name), key.model_dump_json())
    except FileExistsError:
        raise EBUSY(
            f"there is a key named {key.name} already",
            hint=f"choose another name, or take it back first: llmos keys revoke {key.name}",
        ) from None
    except OSError as error:
        raise EIO(f"{key_file(home, key.name)} can't be written: {_said(error)}") from None


def revoke(home: Home, name: str) -> None:
    """Forget a node's public key. Raises ``ENOENT``."""
    try:
        key_file(home, name).unlink()
    except FileNotFoundError:
        raise ENOENT(f"there is no key named {name}", hint="llmos keys list shows them") from None
    except OSError as error:
        raise EIO(f"{key_file(home, name)} can't be removed: {_said(error)}") from None


def _read(file: Path, shape: type[Shape]) -> Shape:
    with file.open("rb") as source:
        return shape.model_validate_json(source.read(_LONGEST))


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # Not pydantic's own words, which show the value, and that may be a secret.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
