"""What the doctor sees of the machine: versions, disk, folders.

The law: it looks and touches nothing; what a system does not tell is said to be unknown, not to be well.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.checks._lines import Line, wrong
from core.config import Config
from core.store.looks import sqlite_version

__all__ = ["clock_line", "disk_lines", "filesystem_of", "folder_lines", "is_exposed", "sqlite_lines", "version_lines"]

_PYTHON = ((3, 11), (3, 14))
# By the names they are installed under; the second is another build of the same.
_LIBRARIES = (
    *(("apsw",), ("APScheduler",), ("ccxt",), ("numba",), ("numpy",), ("pandas",), ("pydantic",)),
    *(("python-telegram-bot",), ("scikit-learn",), ("streamlit",), ("xgboost-cpu", "xgboost")),
)
_EXPOSED = ((3, 7, 0), (3, 51, 2))  # the first and last version of SQLite with the fault of its write-ahead log

_LEAST_FREE_BYTES = 500_000_000
_SPARE_BYTES = 2_000_000_000
# Shared memory, which the write-ahead log needs, does not work across machines.
_NETWORK = ("9p", "afs", "ceph", "cifs", "davfs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs")
_SKEW_MS = 2_000
_DRIVE_REMOTE = 4  # of the Windows function GetDriveTypeW


def version_lines() -> Iterator[Line]:
    """Look at Python and the libraries."""
    lowest, beyond = _PYTHON
    here = sys.version_info[:2]
    seen = f"{platform.python_version()} on {platform.system() or sys.platform} {platform.machine()}".rstrip()
    yield wrong(
        not lowest <= here < beyond, "FAIL", "interpreter", seen, "use Python 3.11 to 3.13, as `make install` asks for"
    )
    there = {names[0]: next((told for name in names if (told := _installed(name))), "") for names in _LIBRARIES}
    missing = [name for name, told in there.items() if not told]
    seen = ", ".join(filter(None, there.values())) + (f"; missing: {', '.join(missing)}" if missing else "")
    mend = "install them: pip install --require-hashes -r requirements.txt"
    yield wrong(bool(missing), "FAIL", "libraries", seen, mend)


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def is_exposed(found: str) -> bool:
    """Say whether a version of SQLite can corrupt a database in WAL mode.

    Examples
    --------
    >>> is_exposed("3.51.2"), is_exposed("3.51.3"), is_exposed("3.54.1")
    (True, False, False)
    """
    number = tuple(int(part) for part in found.split(".")[:3])
    return _EXPOSED[0] <= number <= _EXPOSED[1]


def sqlite_lines(found: str | None = None) -> Iterator[Line]:
    """Look at the SQLite library that the engine brings along."""
    found = found or sqlite_version()
    seen = f"{found} (of apsw, the only one the engine uses)"
    if is_exposed(found):
        seen += (
            "; 3.7.0 to 3.51.2 can corrupt a database when two connections write and checkpoint at the same instant. "
            "The scheduler does both on one connection, so it is exposed only beside another process that writes"
        )
    mend = "pip install --upgrade apsw; until then run no retro scan or training by hand beside the scheduler"
    yield wrong(is_exposed(found), "warn", "sqlite", seen, mend)


def disk_lines(config: Config) -> Iterator[Line]:
    """Look at the room on the database's disk, and at what kind of disk it is."""
    database = Path(config.app.db_path)
    folder = _nearest(database.parent)
    free = shutil.disk_usage(folder).free
    size = database.stat().st_size if database.exists() else 0
    seen = f"{free / 1e9:,.1f} GB free at {folder}; the database has {size / 1e9:,.2f} GB"
    if free < _LEAST_FREE_BYTES + size // 10:
        yield Line("FAIL", "disk", seen, "make room now: without it nothing can be written")
    else:
        mend = f"make room: a back-up needs {size / 1e9:,.2f} GB, and candles come all the time"
        yield wrong(free < _SPARE_BYTES + size, "warn", "disk", seen, mend)
    kind = filesystem_of(folder)
    seen = f"the database lies on {kind or 'a disk of a kind this system does not tell'}"
    mend = "move it to a disk of this machine (app.db_path): on a network share its log gets corrupted"
    yield wrong(kind in _NETWORK or kind == "a network drive", "FAIL", "disk kind", seen, mend)


def filesystem_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the kind of file system a folder lies on, ``""`` where that cannot be told."""
    if os.name == "nt":
        library = getattr(ctypes, "windll", None)
        anchor = folder.absolute().anchor
        is_remote = library is not None and library.kernel32.GetDriveTypeW(anchor) == _DRIVE_REMOTE
        return "a network drive" if is_remote else "a local drive"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place, found, longest = folder.resolve(), "", -1
    for words in map(str.split, lines):
        if "-" not in words[6:] or len(words) < 10:
            continue
        point = words[4].replace("\\040", " ")
        kind = words[words.index("-", 6) + 1]
        if len(point) >= longest and (place.is_relative_to(point)):
            found, longest = kind, len(point)
    return found


def folder_lines(config: Config) -> Iterator[Line]:
    """Look at whether this user may write where the engine writes."""
    database = Path(config.app.db_path)
    folders = {
        "data": Path(config.app.data_dir),
        "database": database.parent,
        "back-ups": Path(config.app.backup_dir),
        "models": Path(config.models.meta.model_path),
        "logs": Path(config.app.log_dir),
    }
    closed = [f"{what} {path}" for what, path in folders.items() if not _is_writable(path)]
    files = [*(database.with_name(database.name + ending) for ending in ("", "-wal", "-shm")), config.app.log_file]
    closed += [str(path) for path in files if path.exists() and not _is_open_file(path)]
    seen = f"not writable for this user: {', '.join(closed)}" if closed else f"all {len(folders)} can be written"
    yield wrong(bool(closed), "FAIL", "folders", seen, "give them to the user the engine runs as (chown, chmod u+rwx)")
    if os.name != "nt" and database.exists() and database.stat().st_mode & 0o002:
        yield Line("warn", "folders", f"everybody may write {database}", f"run `chmod o-w {database}`")


def _is_writable(folder: Path) -> bool:
    """Say whether files can be made in a folder, or the folder itself where it is not there yet."""
    there = _nearest(folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _is_open_file(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK | os.W_OK)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())


def clock_line(ahead_ms: int) -> Line:
    """Say what a difference between the market's clock and the machine's means."""
    way = "behind" if ahead_ms > 0 else "ahead of"
    seen = f"the machine is {abs(ahead_ms) / 1000:.1f} s {way} the exchange; decisions follow the exchange, in UTC"
    return wrong(abs(ahead_ms) > _SKEW_MS, "warn", "clock", seen, "let the system set its clock by itself (NTP)")
