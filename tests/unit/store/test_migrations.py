"""From any older schema to this one: once, whole, with a copy kept."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from core.errors import StoreError
from core.store.migrations import MIGRATIONS, SCHEMA_VERSION, Migration, migrate
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import BTC, START_MS, decisions, same, signals, trades, walk

TABLES = {
    "candle",
    "candle_block",
    "candle_revisions",
    "decisions",
    "drift",
    "exit_policies",
    "feature_sets",
    "features",
    "funding_rates",
    "gaps",
    "instruments",
    "job_runs",
    "journal",
    "meta",
    "migrations",
    "models",
    "mutes",
    "outbox",
    "predictions",
    "quarantine",
    "reigns",
    "series",
    "signals",
    "symbols_off",
    "sync_checkpoint",
    "thresholds",
    "trade_events",
    "trades",
}


def add_a_table(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE extra (a INTEGER) STRICT")


def break_half_way(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE half (a INTEGER) STRICT")
    raise RuntimeError("power cut")


NEXT = (*MIGRATIONS, Migration("an extra table", add_a_table))
BROKEN = (*MIGRATIONS, Migration("broken", break_half_way))


ADDED_SINCE = {
    *("drift", "feature_sets", "features", "models", "predictions", "reigns", "thresholds"),  # by the second step
    *("journal", "mutes"),  # by the third
}


def tables(path: Path) -> set[str]:
    connection = apsw.Connection(str(path))
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    connection.close()
    return found


def version(path: Path) -> int:
    connection = apsw.Connection(str(path))
    found = int(connection.pragma("user_version"))
    connection.close()
    return found


def test_an_empty_file_gets_every_table_and_needs_no_copy(path: Path) -> None:
    report = migrate(path)
    assert tables(path) == TABLES
    assert (report.from_version, report.to_version, report.backup) == (0, SCHEMA_VERSION, None)
    assert migrate(path).steps == ()


def test_every_table_is_strict(path: Path) -> None:
    migrate(path)
    connection = apsw.Connection(str(path))
    loose = list(connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict"))
    connection.close()
    assert {name for (name,) in loose} == {"ohlcv", "sqlite_schema"}


def test_the_view_has_the_columns_others_rely_on(writer: Writer) -> None:
    columns = [row[1] for row in writer._connection.execute("PRAGMA table_info(ohlcv)")]
    assert columns == ["exchange", "symbol", "timeframe", "ts_ms", "open", "high", "low", "close", "volume"]


def test_a_dry_run_lists_the_steps_and_makes_no_file(path: Path) -> None:
    report = migrate(path, dry_run=True)
    assert report.steps == tuple(step.name for step in MIGRATIONS)
    assert not path.exists()
    assert f"would migrate from schema 0 to {SCHEMA_VERSION}" in str(report)


def test_a_dry_run_leaves_an_older_database_as_it_is(path: Path) -> None:
    migrate(path)
    report = migrate(path, dry_run=True, steps=NEXT)
    assert report.steps == ("an extra table",)
    assert report.backup == path.with_name(f"ohlcv.db.bak-v{SCHEMA_VERSION}")
    assert not report.backup.exists()
    assert version(path) == SCHEMA_VERSION


def test_a_database_with_contents_is_copied_before_its_next_step(path: Path) -> None:
    with Writer(path) as writer:
        writer.put_candles(*BTC, walk(2_000), START_MS)
    report = migrate(path, steps=NEXT)
    assert report.backup is not None
    assert (version(report.backup), version(path)) == (SCHEMA_VERSION, SCHEMA_VERSION + 1)
    assert len(Reader(report.backup).candles(*BTC)) == 2_000
    assert "extra" in tables(path)
    assert "extra" not in tables(report.backup)


def test_each_step_is_recorded_with_its_time(path: Path) -> None:
    migrate(path, steps=NEXT)
    connection = apsw.Connection(str(path))
    rows = list(connection.execute("SELECT version, name, applied_ms FROM migrations ORDER BY version"))
    connection.close()
    assert [row[:2] for row in rows] == list(enumerate((step.name for step in NEXT), 1))
    assert all(row[2] > START_MS for row in rows)


def test_a_step_that_fails_leaves_the_schema_before_it(path: Path) -> None:
    migrate(path)
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(path, steps=BROKEN)
    assert version(path) == SCHEMA_VERSION
    assert tables(path) == TABLES
    assert migrate(path, steps=NEXT).to_version == SCHEMA_VERSION + 1


def test_a_database_of_a_later_program_is_left_alone(path: Path) -> None:
    migrate(path, steps=NEXT)
    for action in (lambda: migrate(path), lambda: migrate(path, dry_run=True), lambda: Writer(path)):
        with pytest.raises(StoreError, match="newer than this program"):
            action()
    assert version(path) == SCHEMA_VERSION + 1


def test_a_reader_says_how_to_migrate_an_older_database(path: Path) -> None:
    migrate(path, steps=MIGRATIONS[:1])
    with pytest.raises(StoreError, match=rf"schema 1, expected {SCHEMA_VERSION}.*python init_db\.py"):
        Reader(path).series()


@pytest.fixture
def first_version(path: Path) -> Path:
    """A database as the first version of the program left it, with something of everything."""
    with Writer(path) as writer:
        writer.put_candles(*BTC, walk(2_000), START_MS)
        writer.put_signals(signals({"origin": "live"}, {"origin": "retro"}))
        writer.put_decisions(decisions({"signal_id": 1}, {"signal_id": 2}))
        writer.put_trades(trades({"signal_id": 1, "status": "CLOSED", "known_ms": START_MS}))
    old = path.with_name("old.db")
    migrate(old, steps=MIGRATIONS[:1])
    connection = apsw.Connection(str(old))
    connection.execute("ATTACH ? AS new", (str(path),))
    for table in sorted(TABLES - ADDED_SINCE - {"migrations"}):
        connection.execute(f"INSERT INTO {table} SELECT * FROM new.{table}")
    connection.close()
    return old


def records(reader: Reader) -> list[list[object]]:
    return [frame.astype("str").values.tolist() for frame in (reader.signals(), reader.decisions(), reader.trades())]


def test_a_database_of_the_first_version_keeps_what_it_holds(first_version: Path, path: Path) -> None:
    assert tables(first_version) == TABLES - ADDED_SINCE
    report = migrate(first_version)
    assert (report.from_version, report.to_version) == (1, SCHEMA_VERSION)
    assert report.backup == first_version.with_name("old.db.bak-v1")
    assert tables(first_version) == TABLES
    assert tables(report.backup) == TABLES - ADDED_SINCE
    before, after = Reader(path), Reader(first_version)
    assert same(after.candles(*BTC), before.candles(*BTC))
    assert records(after) == records(before)
    assert after.integrity() == []
    assert after.reigns().empty


def test_a_dry_run_on_the_first_version_says_what_is_to_come_and_does_nothing(first_version: Path) -> None:
    content = first_version.read_bytes()
    report = migrate(first_version, dry_run=True)
    assert report.steps == tuple(step.name for step in MIGRATIONS[1:])
    assert f"would migrate from schema 1 to {SCHEMA_VERSION}" in str(report)
    assert first_version.read_bytes() == content
    assert not first_version.with_name("old.db.bak-v1").exists()


def test_a_writer_brings_the_first_version_up_to_date_and_goes_on(first_version: Path) -> None:
    with Writer(first_version) as writer:
        writer.put_feature_set("fs-1", ["a"])
        writer.put_thresholds(START_MS, "{}", "{}", "user")
    assert version(first_version) == SCHEMA_VERSION
    assert version(first_version.with_name("old.db.bak-v1")) == 1


def test_a_second_step_that_fails_leaves_the_first_version_whole(first_version: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(first_version, steps=(MIGRATIONS[0], Migration("broken", break_half_way)))
    assert (version(first_version), tables(first_version)) == (1, TABLES - ADDED_SINCE)
    assert migrate(first_version).to_version == SCHEMA_VERSION


def test_both_ways_to_this_schema_end_at_the_same_one(first_version: Path, path: Path) -> None:
    def schema(of: Path) -> list[object]:
        connection = apsw.Connection(str(of))
        found = list(connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"))
        connection.close()
        return found

    migrate(first_version)
    assert schema(first_version) == schema(path)
