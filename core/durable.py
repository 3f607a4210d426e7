"""Names that last: a folder's entries are brought to the disk.

The law: a file that was synced is only found again after a power cut when its folder was synced as well.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync_folder"]


def sync_folder(folder: Path) -> None:
    """Make a folder's names last through a power cut, where the platform lets a folder be synced (Windows does not).

    Raises
    ------
    OSError
        It cannot be opened or synced.
    """
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
