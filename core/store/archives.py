"""The archive beside a back-up: the configuration and the models of its time, packed and read back.

The law: it is only ever read the way it was packed, and whatever is damaged in it is one line.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.errors import InputFileError, ModelError
from core.store import artefacts

__all__ = ["CONFIG_NAME", "models_in", "opened_archive", "pack", "unpacked"]

CONFIG_NAME = "config.yaml"
"""The configuration's name in an archive."""

_PREFIX = "models/"
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# What `zipfile` raises by itself where bytes are not as they were written.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)


def pack(path: Path, models: Mapping[str, Mapping[str, bytes]], config_text: str) -> None:
    """Write an archive and sync it.

    Parameters
    ----------
    path : pathlib.Path
        Not there yet.
    models : mapping of str to mapping of str to bytes
        Files by version and name.
    config_text : str
    """
    with path.open("xb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(CONFIG_NAME, config_text)
            for version, files in models.items():
                for name, data in files.items():
                    archive.writestr(f"{_PREFIX}{version}/{name}", data)
        file.flush()
        os.fsync(file.fileno())


def opened_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive for reading.

    Raises
    ------
    InputFileError
        It is damaged, or no archive.
    """
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise InputFileError(f"{path}: cannot be read ({error})") from error


def models_in(archive: zipfile.ZipFile) -> dict[str, list[zipfile.ZipInfo]]:
    """Return the members of each model by its version; only plain names of two parts below ``models/``."""
    found: dict[str, list[zipfile.ZipInfo]] = {}
    for member in archive.infolist():
        parts = member.filename.removeprefix(_PREFIX).split("/")
        fits = member.filename.startswith(_PREFIX) and len(parts) == 2 and member.file_size <= artefacts.MAX_FILE_BYTES
        if fits and member.compress_type in _PACKED:
            found.setdefault(parts[0], []).append(member)
    return found


def unpacked(archive: zipfile.ZipFile, version: str, members: Sequence[zipfile.ZipInfo]) -> dict[str, bytes]:
    """Return a model's files by name, without the manifest, which is made anew from the others.

    Raises
    ------
    ModelError
        One of them is damaged.
    """
    try:
        files = {one.filename.rpartition("/")[2]: archive.read(one) for one in members[: artefacts.MAX_FILES + 1]}
    except _DAMAGED as error:
        why = str(error) or "it ends too early"
        told = f"model {version}: damaged in {archive.filename} ({why}); restore another back-up or train anew"
        raise ModelError(told) from error
    files.pop(artefacts.MANIFEST, None)
    return files
