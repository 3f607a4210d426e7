"""A page or a table written to disk, whole or not at all; pages of a kind are bounded in number.

The law: whoever opens the file sees the page before or the page after, whatever happens in between.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from core.errors import DiskError

__all__ = ["put_text", "refuse_folder", "write_page"]


def write_page(folder: Path, name: str, text: str, most: int) -> Path:
    """Write a page and delete the oldest of its kind.

    Parameters
    ----------
    folder : pathlib.Path
        Made when missing.
    name : str
        ``KIND-WHEN.html``, so that names of a kind sort by time.
    text : str
    most : int
        Pages of the kind that stay.

    Raises
    ------
    DiskError
        No space, or no permission to write.
    """
    path = folder / name
    kind = name.split("-", 1)[0]
    put_text(path, text)
    try:
        for old in sorted(folder.glob(f"{kind}-*.html"))[:-most]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def put_text(path: Path, text: str) -> None:
    """Write a file: whole, or not at all; its folder is made when missing.

    Raises
    ------
    DiskError
        It is a folder; no space, or no permission to write.
    """
    refuse_folder(path)
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise DiskError(
            f"{path}: cannot be written ({error.strerror or error}); check space and permissions"
        ) from error


def refuse_folder(path: Path) -> None:
    """Raise `DiskError` where a file's name is a folder's, or none at all."""
    if not path.name or path.is_dir():
        raise DiskError(f"{path}: is a folder; name a file in it")
