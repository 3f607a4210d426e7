"""What tests of back-ups and restores share: a small whole database, its content, and processes that are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw

from core.store import artefacts
from core.store.writer import Writer
from tests.factories import Story, write_database

ROOT = Path(__file__).parents[3]
NOW_MS = 1_704_250_000_000
NAME = "ohlcv-20240103T024640Z.db"
KILLED = 9

# Ends the process at the n-th call of one function of `os`, before or after it did its work.
FAILPOINT = """
import os, sys
from pathlib import Path
function, at, moment = sys.argv[1], int(sys.argv[2]), sys.argv[3]
real, calls = getattr(os, function), 0
def counted(*args, **kwargs):
    global calls
    calls += 1
    if calls == at and moment == "before":
        os._exit(9)
    result = real(*args, **kwargs)
    if calls == at and moment == "after":
        os._exit(9)
    return result
setattr(os, function, counted)
"""


def small(path: Path, note: str = "first") -> Path:
    """Write a database of one symbol with signals and trades."""
    write_database(path, Story(days=2, timeframes=("1h",), every=6))
    with Writer(path) as writer:
        writer.set_meta("note", note)
    return path


def with_model(path: Path, models: Path, version: str = "m20240101-0badcafe") -> str:
    """Put a model on record and in force, with files; return its version."""
    sha256 = artefacts.publish(models, version, {"card.json": b"{}", "model.ubj": bytes(range(256))})
    with Writer(path) as writer:
        told = {"created_ms": 1, "train_max_t1": 1, "plan_hash": "p", "exit_policy": "x", "feature_set": "f"}
        writer.put_model(version, "{}", sha256=sha256, **told)
        writer.crown(version, 1, "first")
    return version


def content(path: Path) -> dict[str, list[Any]]:
    """Return every row of every table of a file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert connection.pragma("integrity_check") == "ok"
        listed = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        names = [str(name) for (name,) in connection.execute(listed)]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}
    finally:
        connection.close()


def ended(script: str, *arguments: object) -> int:
    """Run a script in a process of its own and return its exit code."""
    asked = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, timeout=120, check=False).returncode
