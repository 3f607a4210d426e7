"""One scheduler a database: whoever comes second is told who was first, however the first one ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from core.cli._lock import only_one
from core.errors import AlreadyRunning, DiskError
from core.store.lock import lock_path
from tests.engine import ROOT

HOLD = """
import sys, time
from pathlib import Path
from core.cli._lock import only_one
from core.errors import AlreadyRunning
try:
    with only_one(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except AlreadyRunning as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_ends_with_3_and_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    first = holder(path, 60.0)
    try:
        assert said(first) == "held"
        second = holder(path, 0.0)
        assert said(second) == f"{path}: another scheduler (pid {first.pid}) is running on this database; end it first"
        second.communicate(timeout=20)
        assert second.returncode == 3
    finally:
        first.kill()
        first.communicate()


def test_of_processes_that_start_at_once_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    racing = [holder(path, 4.0) for _ in range(4)]
    lines = [said(process) for process in racing]
    codes = [process.wait(30) for process in racing]
    for process in racing:
        process.communicate()
    assert sorted(codes) == [0, 3, 3, 3]
    (winner,) = (process.pid for process, code in zip(racing, codes, strict=True) if code == 0)
    told = [line for line in lines if line != "held"]
    assert len(told) == 3 and all(f"(pid {winner})" in line for line in told)


def test_one_that_was_killed_leaves_a_pid_behind_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    first = holder(path, 60.0)
    assert said(first) == "held"
    first.kill()
    first.communicate()
    assert (tmp_path / "ohlcv.db.pid").read_text() == str(first.pid)
    with only_one(path):
        assert (tmp_path / "ohlcv.db.pid").read_text() == str(os.getpid())
    assert not (tmp_path / "ohlcv.db.pid").exists()


@pytest.mark.skipif(os.name == "nt", reason="whether a process lives is not asked there")
@pytest.mark.parametrize("left", ["", "12x", "999999999", "4194305"])
def test_a_pid_of_nobody_is_not_named(tmp_path: Path, left: str) -> None:
    path = tmp_path / "ohlcv.db"
    with only_one(path):
        (tmp_path / "ohlcv.db.pid").write_text(left)
        began = time.monotonic()
        with pytest.raises(AlreadyRunning, match=r"\(pid unknown\)"), only_one(path):
            pass
        assert time.monotonic() - began < 5.0


def test_a_pid_that_cannot_be_written_is_said_and_releases_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    (tmp_path / "ohlcv.db.pid").mkdir()
    with pytest.raises(DiskError, match=r"ohlcv\.db\.pid: cannot be written"), only_one(path):
        pass
    (tmp_path / "ohlcv.db.pid").rmdir()
    with only_one(path):
        pass


def test_who_only_looks_whether_it_is_held_keeps_no_scheduler_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    look = FileLock(lock_path(path), thread_local=False)
    look.acquire()
    threading.Timer(0.02, look.release).start()
    with only_one(path):
        pass
