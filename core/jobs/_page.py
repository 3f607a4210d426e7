"""A page written to disk, whole or not at all, among a bounded number of others.

The law: whoever opens the file sees the page before or the page after, whatever happens in between.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import DiskError

__all__ = ["put_page", "write_page"]


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
    put_page(path, text)
    try:
        for old in sorted(folder.glob(f"{kind}-*.html"))[:-most]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def put_page(path: Path, text: str) -> None:
    """Write a page: whole, or not at all; its folder is made when missing.

    Raises
    ------
    DiskError
        No space, or no permission to write.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise DiskError(f"{path}: cannot be written ({error.strerror or error})") from error
