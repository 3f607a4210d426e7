"""How the file is opened, what may be asked of it, and what its failures are called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from core.errors import DiskError, StoreError
from core.store.blocks import BlockError
from core.store.connection import Patience, open_reader, translated
from core.store.file import APPLICATION_ID
from core.store.migrations import SCHEMA_VERSION
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import BTC, START_MS, walk


def raw(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path))


def asked(path: Path, statement: str) -> list[object]:
    with open_reader(path, SCHEMA_VERSION) as connection:
        return list(connection.execute(statement))


def test_a_new_file_is_ours_with_a_log_full_syncs_and_incremental_vacuum(writer: Writer) -> None:
    pragma = writer._connection.pragma
    assert pragma("application_id") == APPLICATION_ID
    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("auto_vacuum") == 2
    assert pragma("foreign_keys") == 1


def test_the_folder_of_a_new_file_is_made(tmp_path: Path) -> None:
    with Writer(tmp_path / "a" / "b" / "ohlcv.db") as writer:
        assert writer.path.exists()


@pytest.mark.parametrize("name", ["a b.db", "a#b.db", "50%.db", "q?x=1.db", "ü.db"])
def test_any_file_name_can_be_read(tmp_path: Path, name: str) -> None:
    with Writer(tmp_path / name) as writer:
        writer.set_meta("name", name)
        assert Reader(tmp_path / name).meta("name") == name


def test_the_log_stays_when_the_last_writer_closes_so_that_a_reader_can_open(path: Path) -> None:
    with Writer(path) as writer:
        writer.set_meta("k", "v")
    assert path.with_name("ohlcv.db-wal").exists()
    assert Reader(path).meta("k") == "v"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO meta VALUES ('a', 'b')",
        "UPDATE series SET frontier_ms = 0",
        "DELETE FROM candle",
        "DROP TABLE candle",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version = 7",
        "PRAGMA wal_checkpoint",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "BEGIN IMMEDIATE",
        "COMMIT",
    ],
)
def test_a_reader_can_change_nothing(writer: Writer, tmp_path: Path, statement: str) -> None:
    before = sorted(item.name for item in tmp_path.iterdir())
    with pytest.raises(StoreError, match=r"not a plain question|not authorized|cannot VACUUM|no such function"):
        asked(writer.path, statement)
    assert sorted(item.name for item in tmp_path.iterdir()) == before


def test_a_reader_may_count_group_and_recurse(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(10), START_MS)
    assert asked(writer.path, "SELECT exchange, count(*), min(ts_ms) FROM ohlcv GROUP BY 1") == [
        ("bitget", 10, START_MS)
    ]
    recursion = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n"
    assert asked(writer.path, recursion) == [(6,)]


def test_a_missing_file_is_not_created_by_reading_and_the_message_says_what_to_run(path: Path) -> None:
    with pytest.raises(StoreError, match=r"ohlcv\.db does not exist.*python init_db\.py") as failure:
        Reader(path).series()
    assert "\n" not in str(failure.value)
    assert not path.exists()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    for action in (lambda: Reader(tmp_path).series(), lambda: Writer(tmp_path)):
        with pytest.raises(StoreError, match="is a folder"):
            action()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"ts,open,high,low,close,volume\n" * 100)
    for action in (lambda: Reader(path).series(), lambda: Writer(path)):
        with pytest.raises(StoreError, match="not an SQLite database"):
            action()
    assert path.read_bytes().startswith(b"ts,open")


def test_an_empty_file_is_told_from_a_database(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match=r"is empty.*init_db"):
        Reader(path).series()


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    connection = raw(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    before = path.read_bytes()
    for action in (lambda: Reader(path).series(), lambda: Writer(path)):
        with pytest.raises(StoreError, match="not made by this program"):
            action()
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "message"), [(99, "newer than this program"), (0, "schema 0|is empty")])
def test_another_schema_is_refused_by_readers(path: Path, version: int, message: str) -> None:
    Writer(path).close()
    connection = raw(path)
    connection.pragma("user_version", version)
    connection.close()
    with pytest.raises(StoreError, match=message):
        Reader(path).series()


def test_a_locked_database_is_named_as_such(writer: Writer, path: Path) -> None:
    other = raw(path)
    other.execute("BEGIN IMMEDIATE")
    writer._connection.set_busy_timeout(0)
    with pytest.raises(StoreError, match="locked by another process"):
        writer.set_meta("k", "v")
    other.execute("ROLLBACK")
    other.close()
    writer.set_meta("k", "v")


def test_a_writer_gives_up_on_a_lock_after_thirty_seconds_and_after_one_once_it_is_to_end() -> None:
    now_s = 100.0
    patience = Patience(lambda: now_s)
    for seconds, goes_on in ((0.0, True), (29.0, True), (2.0, False)):
        now_s += seconds
        assert patience(int(now_s) - 100) is goes_on
    now_s += 1_000.0
    assert patience(0)
    patience.hurry()  # while it waits
    now_s += 0.9
    assert patience(1)
    now_s += 0.2
    assert not patience(2)


def test_a_full_disk_is_a_disk_error_and_nothing_is_half_written(writer: Writer) -> None:
    writer._connection.pragma("max_page_count", writer._connection.pragma("page_count") + 4)
    with pytest.raises(DiskError, match="disk is full"), writer.transaction():
        writer.set_meta("k", "v")
        writer.put_candles(*BTC, walk(3_000), START_MS)
    assert writer.reader.meta("k") is None
    writer._connection.pragma("max_page_count", 1_000_000)
    writer.set_meta("k", "v")
    assert writer.reader.meta("k") == "v"


def test_a_damaged_file_is_named_as_such(path: Path) -> None:
    with Writer(path) as writer:
        writer.put_candles(*BTC, walk(3_000), START_MS)
        writer.checkpoint()
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 8_192):
        data[page * 8_192 : page * 8_192 + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        Reader(path).candles(*BTC)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (apsw.ReadOnlyError("attempt to write"), DiskError, "read-only"),
        (apsw.IOError("disk I/O error"), DiskError, "check the disk"),
        (apsw.CantOpenError("unable to open"), StoreError, "permissions"),
        (apsw.ConstraintError("NOT NULL constraint failed"), StoreError, "NOT NULL"),
        (BlockError("cut short"), StoreError, "damaged"),
    ],
)
def test_every_failure_is_one_line_that_names_the_file(
    path: Path, error: Exception, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as failure, translated(path):
        raise error
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named_as_such(path: Path) -> None:
    Writer(path).close()
    path.chmod(0)
    with pytest.raises(StoreError, match="permissions"):
        Reader(path).series()


def test_importing_the_reader_does_not_load_the_writer() -> None:
    code = "import sys, core.store.reader; sys.exit(any('write' in name for name in sys.modules if 'core.' in name))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0
