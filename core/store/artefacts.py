"""The files of models: one folder a version, written whole or not at all, and read only when they verify.

The law: a version is never replaced; nothing of it is parsed before its manifest has the sha256 that the database
holds and each file the sha256 that the manifest holds. Pickled objects are neither written nor read: loading one
runs whatever it contains.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.durable import sync_folder
from core.errors import DiskError, ModelError

__all__ = ["MANIFEST", "MAX_FILES", "MAX_FILE_BYTES", "load", "prune", "publish", "versions"]

MANIFEST = "manifest.json"
MAX_FILE_BYTES = 64 * 1024 * 1024  # a booster of 150 trees is 0.2 MB
MAX_FILES = 64

_FORMAT = 1
_LOCK = ".lock"
_UNFINISHED = ".unfinished-"  # a folder not yet published, or half removed
_LOCK_WAIT_S = 30.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no file can be called so on Windows
_PICKLES = (".pkl", ".pickle", ".p", ".pck", ".joblib", ".dill", ".cloudpickle")
_MEND = "restore the folder from a back-up or train anew with `python train_meta.py`"


def publish(folder: Path, version: str, files: Mapping[str, bytes]) -> str:
    """Write a version's files so that a kill leaves either nothing of it or the whole.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of versions; made when missing.
    version : str
        Letters, digits and ``. _ @ + -``.
    files : mapping of str to bytes
        Contents by file name.

    Returns
    -------
    str
        The sha256 of the manifest, for `load`. The same files again under the same version: the same, nothing written.

    Raises
    ------
    ModelError
        A name is not allowed, a file is too large, or the version is there with other files.
    DiskError
        No space, or no permission.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     sha256 = publish(Path(name), "m1", {"card.json": b"{}"})
    ...     load(Path(name), "m1", sha256)
    {'card.json': b'{}'}
    """
    _check_names(version, files)
    contents = {name: bytes(files[name]) for name in sorted(files)}
    manifest = _manifest(version, contents)
    with _only_one(folder):
        _clear(folder)
        final = folder / version
        if os.path.lexists(final):
            _refuse_another(final, manifest)
        else:
            unfinished = folder / (_UNFINISHED + version)
            unfinished.mkdir()
            for name, data in {**contents, MANIFEST: manifest}.items():
                _write(unfinished / name, data)
            sync_folder(unfinished)
            unfinished.rename(final)
            sync_folder(folder)
    return _sha256(manifest)


def load(folder: Path, version: str, sha256: str) -> dict[str, bytes]:
    """Return a version's files once all of them verify.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of versions.
    version : str
    sha256 : str
        Of the manifest, as `publish` returned it.

    Raises
    ------
    ModelError
        A file is missing, changed, too large, a link, or the manifest is not the one that was published.
    """
    _check_name(f"model {version}", version)
    home = folder / version
    with _reading(f"model {version}"):
        if _is_link(home) or not home.is_dir():
            raise ModelError(f"model {version}: {home} is not a folder; {_MEND}")
        manifest = _read(home / MANIFEST, version)
        if _sha256(manifest) != sha256:
            raise ModelError(f"model {version}: {home / MANIFEST} is not the one that was published; {_MEND}")
        return {name: _verified(home / name, version, told) for name, told in _listed(manifest, version).items()}


def versions(folder: Path) -> list[str]:
    """Return the versions that are there, by name; whether they verify, `load` says."""
    with _reading(f"models {folder}"):
        if not folder.is_dir():
            return []
        found = (item for item in folder.iterdir() if _NAME.fullmatch(item.name) and not _is_link(item))
        return sorted(item.name for item in found if (item / MANIFEST).is_file())


def prune(folder: Path, keep: Collection[str]) -> list[str]:
    """Remove the versions that are not to be kept; return which.

    Raises
    ------
    DiskError
        A folder cannot be removed.
    """
    if not versions(folder):
        return []
    with _only_one(folder):
        _clear(folder)
        spare = [version for version in versions(folder) if version not in keep]
        for version in spare:
            # Renamed first: a kill half way leaves no version with some of its files.
            doomed = folder / (_UNFINISHED + version)
            (folder / version).rename(doomed)
            shutil.rmtree(doomed)
    return spare


def _check_names(version: str, files: Collection[str]) -> None:
    _check_name(f"model {version}", version)
    if len(files) > MAX_FILES or not files:
        raise ModelError(f"model {version}: {len(files)} files, expected 1 to {MAX_FILES}")
    for name in files:
        _check_name(f"model {version}: file {name}", name)
        if name.lower() == MANIFEST:
            raise ModelError(f"model {version}: file {name}: that name is the manifest's; choose another")
    if len({name.lower() for name in files}) < len(files):
        raise ModelError(f"model {version}: two files whose names differ in case only; some disks cannot hold both")


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name) or name.endswith(".") or _DEVICES.fullmatch(name):
        raise ModelError(f"{what}: not a name for a file; use letters, digits and . _ @ + -, a letter or digit first")
    if name.lower().endswith(_PICKLES):
        raise ModelError(f"{what}: pickled objects are never loaded, since loading runs them; keep it as JSON or UBJ")


def _manifest(version: str, contents: Mapping[str, bytes]) -> bytes:
    for name, data in contents.items():
        if len(data) > MAX_FILE_BYTES:
            raise ModelError(f"model {version}: file {name} has {len(data):,} bytes, at most {MAX_FILE_BYTES:,} may be")
    files = {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in contents.items()}
    told = {"format": _FORMAT, "version": version, "files": files}
    return (json.dumps(told, sort_keys=True, indent=1) + "\n").encode()


def _listed(manifest: bytes, version: str) -> dict[str, tuple[int, str]]:
    """Return size and sha256 by file name from a manifest."""
    broken = ModelError(f"model {version}: {MANIFEST} is not one of format {_FORMAT}; {_MEND}")
    try:
        told = json.loads(manifest)
        if told["format"] != _FORMAT or told["version"] != version:
            raise broken
        files = {str(name): (int(item["bytes"]), str(item["sha256"])) for name, item in told["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise broken from error
    _check_names(version, files)
    return files


def _verified(path: Path, version: str, told: tuple[int, str]) -> bytes:
    data = _read(path, version)
    if (len(data), _sha256(data)) != told:
        raise ModelError(f"model {version}: {path} is not as it was published; {_MEND}")
    return data


def _read(path: Path, version: str) -> bytes:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ModelError(f"model {version}: {path} is a link or no file; {_MEND}")
    if found.st_size > MAX_FILE_BYTES:
        raise ModelError(f"model {version}: {path} is larger than {MAX_FILE_BYTES:,} bytes; {_MEND}")
    with os.fdopen(os.open(path, os.O_RDONLY | _flag("O_NOFOLLOW") | _flag("O_BINARY")), "rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _flag(name: str) -> int:
    return int(getattr(os, name, 0))  # some platforms lack one or the other


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _refuse_another(final: Path, manifest: bytes) -> None:
    with _reading(f"model {final.name}"):
        if _is_link(final) or not final.is_dir() or _read(final / MANIFEST, final.name) != manifest:
            raise ModelError(f"model {final.name}: {final} is there with other files; a version is never replaced")
    load(final.parent, final.name, _sha256(manifest))


def _clear(folder: Path) -> None:
    """Remove what a killed process left; whoever holds the lock is alone, so nobody is working on it."""
    for item in folder.glob(f"{_UNFINISHED}*"):
        if _is_link(item) or not item.is_dir():
            item.unlink()
        else:
            shutil.rmtree(item)


def _is_link(path: Path) -> bool:
    is_junction: Any = getattr(os.path, "isjunction", None)  # from Python 3.12 on
    return path.is_symlink() or (is_junction is not None and bool(is_junction(path)))


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the folder alone, so that one process never takes another's work for a leftover."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK, timeout=_LOCK_WAIT_S):
            yield
    except Timeout as error:
        raise ModelError(f"models {folder}: another process is writing there; try again when it has ended") from error
    except OSError as error:
        raise DiskError(
            f"models {folder}: cannot be written ({error.strerror}); check space and permissions"
        ) from error


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn what the disk says while reading into one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise ModelError(f"{what}: {error.filename} is missing; {_MEND}") from error
    except OSError as error:
        told = f"{what}: {error.filename} cannot be read ({error.strerror}); check its permissions"
        raise ModelError(told) from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
