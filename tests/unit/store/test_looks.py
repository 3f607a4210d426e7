"""Looking from outside: who holds a database, how large its log is, whether it is sound."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from core.errors import StoreError
from core.store import _holders
from core.store.lock import is_held
from core.store.looks import log_of, sqlite_version, unsound
from core.store.writer import Writer
from tests.unit.store.samples import BTC, START_MS, walk

FILE = "fe:00:77"
OPEN = """
import sys, time
import apsw
connection = apsw.Connection(sys.argv[1])
list(connection.execute("SELECT * FROM meta"))
if sys.argv[2] == "reading":
    connection.execute("BEGIN")
    list(connection.execute("SELECT * FROM meta"))
print("open", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("line", "pid"),
    [
        ("1: POSIX  ADVISORY  READ 812 fe:00:77 124 124", 812),
        ("1: POSIX  ADVISORY  READ 812 fe:00:77 123 127", 812),
        ("1: POSIX  ADVISORY  WRITE 812 fe:00:77 0 EOF", 812),
        ("1: POSIX  ADVISORY  READ 812 fe:00:77 128 128", 0),
        ("1: POSIX  ADVISORY  READ 812 fe:00:77 120 122", 0),
        ("1: POSIX  ADVISORY  READ 812 fe:00:78 124 124", 0),
        ("1: OFDLCK ADVISORY  READ -1 fe:00:77 124 124", 0),
        ("1: -> POSIX  ADVISORY  READ 812 fe:00:77 124 124", 0),
        ("", 0),
    ],
)
def test_a_lock_of_a_reader_is_told_from_others(line: str, pid: int) -> None:
    assert _holders._pid_of(line.split(), FILE, 123, 127) == pid


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not tell")
@pytest.mark.parametrize("kind", ["reading", "idle"])
def test_another_process_is_seen_and_whether_it_reads(writer: Writer, kind: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", OPEN, str(writer.path), kind], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        log = log_of(writer.path)
        assert [one.pid for one in log.users] == [process.pid]
        assert [one.pid for one in log.readers] == ([process.pid] if kind == "reading" else [])
        assert str(log.users[0]).startswith(f"process {process.pid} (")
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert log_of(writer.path).users == ()


def test_a_file_nobody_has_open_has_no_log_and_no_users(tmp_path: Path) -> None:
    log = log_of(tmp_path / "ohlcv.db")
    assert (log.bytes, log.readers, log.users) == (0, (), ())


def test_the_log_has_a_size(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(2_000), START_MS)
    assert log_of(writer.path).bytes == writer.log_bytes() > 100_000


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_file_has_no_faults_and_a_damaged_one_has(writer: Writer, path: Path, deep: bool) -> None:
    writer.put_candles(*BTC, walk(5_000), START_MS)
    writer.close()
    assert unsound(path, deep) == []
    data = bytearray(path.read_bytes())
    data[8192 * 40 : 8192 * 44] = os.urandom(8192 * 4)
    path.write_bytes(data)
    try:
        faults = unsound(path, deep)
    except StoreError as error:
        faults = [str(error)]
    assert faults


def test_a_lock_that_is_held_is_seen_and_left_as_it_was(path: Path) -> None:
    assert not is_held(path)
    lock = FileLock(f"{path}.lock")
    with lock:
        assert is_held(path)
    assert not is_held(path)


def test_the_library_is_named() -> None:
    assert len(sqlite_version().split(".")) == 3
