"""A folder that nobody may look into, for a user who may look into all of them as well."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest


def closed_to_all(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let asking for what lies in a folder fail as it does where the folder's rights forbid it."""
    ask = Path.stat

    def refused(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if folder in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return ask(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", refused)
