"""The doctor: one line a thing, with what was seen and how to mend it; nothing changed, nothing sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock

from core.checks import _doctor_machine as machine
from core.checks import _doctor_store as kept
from core.checks._lines import Line, looked
from core.checks.doctor import Patient, examine
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.config import Config, load_config
from core.errors import ChatRefused, CredentialsError, MarketUnavailable, NotifierUnavailable, StoreError, UnknownSymbol
from core.ports import Market, Message, Notifier
from core.schema import Instrument
from core.store.copying import take
from core.store.migrations import SCHEMA_VERSION
from core.store.reader import Reader
from core.store.writer import Writer
from tests.desks import BTC, StoppedClock
from tests.engine import write_config
from tests.factories import START_MS, walk
from tests.unit.checks.closed import closed_to_all
from tests.unit.store.copies import with_model

EXCHANGE = "bitget"
NOW_MS = START_MS + DAY_MS


def configured(folder: Path, change: dict[str, Any] | None = None) -> Config:
    plain: dict[str, Any] = {"symbols": [BTC], "timeframes": ["1h"]}
    return load_config(write_config(folder, {**plain, **(change or {})}), {})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path, {"models": {"meta": {"model_path": str(tmp_path / "models")}}})


@pytest.fixture
def reader(config: Config) -> Iterator[Reader]:
    """A healthy database: a day of minutes, a back-up, a run of a job."""
    path = Path(config.app.db_path)
    with Writer(path) as writer:
        writer.put_candles(EXCHANGE, BTC, "1m", walk(1), NOW_MS)
        writer.set_frontier(EXCHANGE, BTC, "1m", NOW_MS)
        writer.put_job_run("resample", NOW_MS, NOW_MS, "ok", "")
    take(path, config.app.backup_dir, config.models.meta.model_path, "", NOW_MS)
    yield Reader(path)


class Asked(StoppedClock):
    """A market that lists some symbols, fails, or does not agree about the time."""

    def __init__(self, now_ms: int, listed: tuple[str, ...] = (BTC,), error: Exception | None = None) -> None:
        super().__init__(now_ms)
        self.listed, self.error = listed, error

    async def load_markets(self) -> dict[str, Instrument]:
        if self.error:
            raise self.error
        return {symbol: Instrument(EXCHANGE, symbol) for symbol in self.listed}


class Told:
    """A messenger that can be looked at, and must not be sent anything."""

    name = "telegram"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def send(self, message: Message) -> str:
        raise AssertionError("nothing is to be sent")

    async def check(self) -> None:
        if self.error:
            raise self.error

    async def close(self) -> None:
        """Nothing is held."""


async def lines(
    config: Config, reader: Reader, market: Market | None = None, notifier: Notifier | None = None
) -> dict[str, Line]:
    """Return the last line of each name, where one is worse the worst."""
    notifiers = {"telegram": notifier} if notifier else {}
    found: dict[str, Line] = {}
    for line in await examine(Patient(config, reader, EXCHANGE, NOW_MS, market, notifiers, deep=True)):
        if line.name not in found or line.level != "ok":
            found[line.name] = line
    return found


# -- the whole


async def test_of_a_healthy_engine_that_does_not_run_only_that_is_said(config: Config, reader: Reader) -> None:
    found = await lines(config, reader, Asked(NOW_MS), Told())
    assert {name for name, line in found.items() if line.level != "ok"} <= {"scheduler", "disk"}
    assert found["scheduler"].level == "warn" and "not running" in found["scheduler"].seen
    assert found["exchange"].seen.endswith(" ms") and found["telegram"].seen == "can deliver (nothing was sent)"
    assert "sound (integrity_check)" in found["database"].seen


async def test_it_changes_nothing(config: Config, reader: Reader, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = files()
    await lines(config, reader, Asked(NOW_MS), Told())
    after = files()
    assert {name: after[name] for name in before if not name.endswith("-shm")} == {
        name: data for name, data in before.items() if not name.endswith("-shm")
    }
    assert set(after) == set(before)


async def test_what_is_wrong_everywhere_is_said_line_by_line(config: Config, reader: Reader) -> None:
    with Writer(reader.path) as writer:
        writer.set_frontier(EXCHANGE, BTC, "1m", NOW_MS - 3 * HOUR_MS)
        gap = {"ts_ms": [START_MS], "state": "open", "first_missed_ms": 1, "tries": 1, "next_try_ms": 1}
        writer.put_gaps(EXCHANGE, BTC, "1m", pd.DataFrame(gap))
        refused = pd.DataFrame({"ts_ms": [START_MS], "reason": ["price"], "detail": ["-1"]})
        writer.put_quarantine(EXCHANGE, BTC, "1m", refused, NOW_MS - HOUR_MS)
        row = {"channel": "telegram", "kind": "note", "payload": "{}", "created_ms": NOW_MS - HOUR_MS, "next_try_ms": 1}
        writer.queue([{"key": "late", **row}])
        writer.mark_outbox(1, "queued", NOW_MS, error="no network", next_try_ms=1)
        for k in range(4):
            writer.put_job_run("backup", NOW_MS + k, NOW_MS + k, "failed", "backup: no space")
    found = await lines(config, reader)
    assert f"behind: {BTC} 3h" in found["candles"].seen
    assert f"1 minutes missing and asked for again, 0 the exchange never had; missing: {BTC} 1" == found["gaps"].seen
    assert found["quarantine"].seen == f"1 refused candles on record, 1 seen within a day: {BTC} price 1"
    assert found["alerts"].seen == "1 waiting, the oldest for 1h (no network)"
    assert found["jobs"].seen.startswith("backup failed 4 times in a row, 2024-01-02 00:00 UTC: backup: no space")
    for name in ("candles", "gaps", "quarantine", "alerts", "jobs"):
        assert found[name].level == "warn" and found[name].mend, name


async def test_without_a_database_the_rest_is_looked_at_all_the_same(config: Config) -> None:
    found = await lines(config, Reader(Path(config.app.db_path)), Asked(NOW_MS))
    assert found["database"].level == "FAIL" and "python init_db.py" in found["database"].mend
    assert found["back-ups"].level == "warn"
    assert found["exchange"].level == "ok"


async def test_a_database_of_another_schema_is_one_line_a_look(config: Config, reader: Reader) -> None:
    with Writer(reader.path) as writer:
        writer._connection.pragma("user_version", 99)
    found = await lines(config, reader)
    assert found["database"].level == "FAIL"
    assert f"schema 99 is newer than this program's {SCHEMA_VERSION}" in found["database"].seen
    assert found["database"].mend == "update the program, then run `make install`"
    assert found["interpreter"].level == "ok"
    assert {found[name].mend for name in ("database", "candles", "jobs", "alerts")} == {found["database"].mend}


@pytest.mark.parametrize("content", [b"", b"hello, world"])
async def test_a_file_that_is_no_database_has_the_same_remedy_in_each_line(
    config: Config, reader: Reader, content: bytes
) -> None:
    for other in reader.path.parent.glob("ohlcv.db-*"):
        other.unlink()
    reader.path.write_bytes(content)
    found = await lines(config, reader)
    for name in ("database", "candles", "jobs", "alerts"):
        assert found[name].level == "FAIL" and "`python init_db.py`" in found[name].mend, name


async def test_a_folder_that_nobody_may_look_into_keeps_nothing_else_from_being_looked_at(
    config: Config, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_to_all(monkeypatch, reader.path.parent)
    found = await lines(config, reader, Asked(NOW_MS), Told())
    for name in ("database", "candles", "jobs", "alerts", "scheduler"):
        assert found[name].level == "FAIL" and "Permission denied" in str(found[name]), name
        assert "permissions" in found[name].mend, name
    assert found["exchange"].level == found["telegram"].level == "ok"


async def test_a_damaged_database_fails_and_says_how_to_restore(config: Config, reader: Reader) -> None:
    data = bytearray(reader.path.read_bytes())
    data[8192 * 8 : 8192 * 12] = os.urandom(8192 * 4)
    reader.path.write_bytes(data)
    found = await lines(config, reader)
    assert found["database"].level == "FAIL"
    assert "restore" in str(found["database"])


# -- the outside


async def test_an_exchange_that_does_not_answer_or_is_not_known_fails(config: Config, reader: Reader) -> None:
    silent = await lines(config, reader, Asked(NOW_MS, error=MarketUnavailable("bitget: no answer")))
    assert (silent["exchange"].level, silent["exchange"].seen) == ("FAIL", "bitget: no answer")
    assert "clock" not in silent
    refused = await lines(config, reader, Asked(NOW_MS, error=UnknownSymbol("bitget: no")))
    assert refused["exchange"].level == "FAIL" and "exchange.id" in refused["exchange"].mend


async def test_symbols_that_are_not_listed_and_a_clock_that_is_off_are_warnings(config: Config, reader: Reader) -> None:
    found = await lines(config, reader, Asked(NOW_MS + 10_000, listed=("ETH/USDT:USDT",)))
    assert found["exchange"].level == "warn" and BTC in found["exchange"].seen
    assert found["clock"].level == "warn" and "behind the exchange" in found["clock"].seen
    assert (await lines(config, reader, Asked(NOW_MS + 500)))["clock"].level == "ok"


async def test_a_messenger_that_refuses_token_or_chat_fails_and_one_out_of_reach_is_a_warning(
    config: Config, reader: Reader
) -> None:
    refused = await lines(config, reader, notifier=Told(CredentialsError("Telegram refused the token")))
    assert refused["telegram"].level == "FAIL"
    closed = await lines(config, reader, notifier=Told(ChatRefused("telegram: chat 42 takes nothing")))
    assert closed["telegram"].level == "FAIL" and closed["telegram"].mend
    away = await lines(config, reader, notifier=Told(NotifierUnavailable("Telegram: no answer")))
    assert away["telegram"].level == "warn"


# -- parts


@pytest.mark.parametrize(
    ("version", "level"),
    [("3.6.23", "ok"), ("3.7.0", "warn"), ("3.40.1", "warn"), ("3.51.2", "warn"), ("3.51.3", "ok")],
)
def test_a_version_of_sqlite_with_the_fault_of_the_log_is_named(version: str, level: str) -> None:
    (line,) = machine.sqlite_lines(version)
    assert line.level == level and version in line.seen
    assert (level == "warn") == ("can corrupt a database" in line.seen) == ("pip install --upgrade apsw" in line.mend)


def test_the_version_of_sqlite_in_use_has_no_such_fault() -> None:
    (line,) = machine.sqlite_lines()
    assert line.level == "ok"


@pytest.mark.skipif(os.name == "nt", reason="mounts are told otherwise there")
def test_a_network_share_is_told_from_a_disk(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        "23 22 0:30 / /mnt rw shared:2 - tmpfs tmpfs rw\n"
        "24 23 0:31 / /mnt/my\\040share rw - nfs4 server:/x rw\n"
        "too short\n"
    )
    assert machine.filesystem_of(Path("/mnt/my share/data"), mounts) == "nfs4"
    assert machine.filesystem_of(Path("/mnt/elsewhere"), mounts) == "tmpfs"
    assert machine.filesystem_of(Path("/srv"), mounts) == "ext4"
    assert machine.filesystem_of(Path("/srv"), tmp_path / "none") == ""


def test_little_room_is_a_warning_and_none_a_failure(
    config: Config, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = machine.shutil.disk_usage(reader.path.parent)
    for free, level in ((100_000_000, "FAIL"), (1_500_000_000, "warn"), (9_000_000_000, "ok")):
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        assert next(iter(machine.disk_lines(config))).level == level


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_fails(config: Config, reader: Reader) -> None:
    reader.path.parent.chmod(0o500)
    try:
        assert "FAIL" in {line.level for line in machine.folder_lines(config)}
    finally:
        reader.path.parent.chmod(0o700)


def test_a_log_file_that_cannot_be_written_fails(config: Config, reader: Reader) -> None:
    assert [line.level for line in machine.folder_lines(config)] == ["ok"]
    config.app.log_file.mkdir(parents=True)
    (line,) = machine.folder_lines(config)
    assert line.level == "FAIL" and str(config.app.log_file) in line.seen


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_a_database_everybody_may_write_is_a_warning(config: Config, reader: Reader) -> None:
    assert [line.level for line in machine.folder_lines(config)] == ["ok"]
    reader.path.chmod(0o666)
    assert [line.level for line in machine.folder_lines(config)] == ["ok", "warn"]


def test_a_model_whose_files_do_not_verify_fails(config: Config, reader: Reader) -> None:
    version = with_model(reader.path, Path(config.models.meta.model_path))
    (Path(config.models.meta.model_path) / version / "model.ubj").write_bytes(b"other")
    (line,) = looked("model", lambda: kept.model_lines(reader, config))
    assert line.level == "FAIL" and version in line.seen and "train_meta.py" in line.mend


def test_an_old_back_up_and_what_a_restore_left_are_warnings(config: Config, reader: Reader) -> None:
    assert [line.level for line in kept.backup_lines(config, reader.path, NOW_MS + DAY_MS)] == ["ok"]
    reader.path.with_name("ohlcv.db.before-restore-20240101T000000Z").write_bytes(b"x" * 1_000)
    old, aside = kept.backup_lines(config, reader.path, NOW_MS + 3 * DAY_MS)
    assert (old.level, aside.level) == ("warn", "warn")
    assert "the newest 3d old" in old.seen and "before-restore" in aside.seen


def test_thresholds_whose_time_is_over_are_named(tmp_path: Path) -> None:
    pair = {
        BTC: {"1h": {"min_ev_pct": 0.1, "expires": "2024-01-01"}, "4h": {"min_ev_pct": 0.1, "expires": "2024-01-03"}}
    }
    config = configured(tmp_path, {"timeframes": ["1h", "4h"], "models": {"meta": {"gating": {"per_pair_tf": pair}}}})
    (line,) = kept.threshold_lines(config, NOW_MS)
    assert line.level == "warn"
    assert line.seen == f"2 of their own by symbol and timeframe, 1 expired ({BTC} 1h), 1 expire within two days"


def test_a_scheduler_that_holds_the_lock_without_a_heartbeat_fails(reader: Reader) -> None:
    with FileLock(f"{reader.path}.lock"):
        (line,) = kept.scheduler_lines(reader.path, "UTC", NOW_MS)
    assert line.level == "FAIL" and line.seen == "running: its first cycle is under way"


def test_a_large_log_names_who_reads(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_LOG_BYTES", 10_000)
    with Writer(reader.path) as writer:
        writer.put_candles(EXCHANGE, BTC, "1m", walk(2), NOW_MS + MINUTE_MS)
        (line,) = kept.log_lines(reader)
    assert line.level == "warn" and "it shrinks by itself then" in line.mend


def test_a_look_that_fails_is_a_line() -> None:
    def broken() -> Iterator[Line]:
        yield Line("ok", "one", "seen")
        raise StoreError("database x: locked by another process; try again, or end that process")

    first, second = looked("database", broken)
    assert first.name == "one"
    assert str(second) == "FAIL  database: database x: locked by another process  -> try again, or end that process"
