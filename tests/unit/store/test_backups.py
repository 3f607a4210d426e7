"""Back-ups: whole, checked, never overwritten, rotated by name, and nothing half where something goes wrong."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from filelock import FileLock

from core.clock import DAY_MS
from core.errors import DiskError, InputFileError, StoreError
from core.store import _maintain, backups, copying
from core.store.copying import check_copy, take
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.copies import FAILPOINT, KILLED, NAME, NOW_MS, ROOT, content, ended, small, with_model

TAKE = """
from pathlib import Path
from core.store.copying import take
folder = Path(sys.argv[4])
take(folder / "ohlcv.db", folder / "backups", folder / "models", "x: 1", 1_704_250_000_000)
"""
LIMITED = """
import resource, signal, sys
from core.errors import DiskError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
sys.argv[1:] = ["", "", "", sys.argv[1]]
try:
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return small(tmp_path / "ohlcv.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# -- what is made


def test_a_back_up_holds_every_row_the_models_and_the_configuration(
    database: Path, folder: Path, tmp_path: Path
) -> None:
    version = with_model(database, tmp_path / "models")
    taken = take(database, folder, tmp_path / "models", "symbols: [BTC/USDT]\n", NOW_MS)
    assert taken.backup.path == folder / NAME
    assert (taken.models, taken.left_out) == (1, ())
    assert content(folder / NAME) == content(database)
    with zipfile.ZipFile(taken.backup.archive) as archive:
        assert archive.testzip() is None
        assert archive.read("config.yaml") == b"symbols: [BTC/USDT]\n"
        assert archive.read(f"models/{version}/model.ubj") == bytes(range(256))
        assert {f"models/{version}/manifest.json", f"models/{version}/card.json"} <= set(archive.namelist())
    assert files_in(folder) == [NAME, NAME.replace(".db", ".zip")]


def test_a_back_up_of_a_database_in_use_holds_what_was_committed(database: Path, folder: Path, tmp_path: Path) -> None:
    with Writer(database) as writer:
        writer.set_meta("note", "committed")
        with writer.transaction():
            writer.set_meta("note", "not yet")
            path = take(database, folder, tmp_path / "models", "", NOW_MS).backup.path
    assert Reader(path).meta("note") == "committed"


def test_a_second_back_up_of_the_same_second_takes_the_next_and_overwrites_nothing(
    database: Path, folder: Path, tmp_path: Path
) -> None:
    first, second = (take(database, folder, tmp_path, "", NOW_MS).backup for _ in range(2))
    assert second.taken_ms == first.taken_ms + 1_000
    assert [one.path for one in backups.listed(folder, database)] == [first.path, second.path]


def test_a_model_that_does_not_verify_is_left_out_and_named(database: Path, folder: Path, tmp_path: Path) -> None:
    version = with_model(database, tmp_path / "models")
    (tmp_path / "models" / version / "model.ubj").write_bytes(b"other")
    taken = take(database, folder, tmp_path / "models", "", NOW_MS)
    assert taken.models == 0
    assert len(taken.left_out) == 1 and version in taken.left_out[0]
    shutil.rmtree(tmp_path / "models")
    assert version in take(database, folder, tmp_path / "models", "", NOW_MS).left_out[0]


def test_a_damaged_copy_is_found(database: Path, folder: Path, tmp_path: Path) -> None:
    path = take(database, folder, tmp_path, "", NOW_MS).backup.path
    rows = check_copy(path)
    assert rows["candle"] == len(Reader(database).candles("synthetic", "BTC/USDT:USDT", "1m")) + 48
    data = bytearray(path.read_bytes())
    data[8192 * 5 : 8192 * 9] = os.urandom(8192 * 4)
    path.write_bytes(data)
    with pytest.raises(InputFileError, match="damaged"):
        check_copy(path)


def test_nothing_is_backed_up_where_nothing_is(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist; there is nothing to back up"):
        take(tmp_path / "ohlcv.db", folder, tmp_path, "", NOW_MS)
    (tmp_path / "ohlcv.db").touch()
    with pytest.raises(StoreError, match=r"ohlcv\.db: is empty; there is nothing to back up"):
        take(tmp_path / "ohlcv.db", folder, tmp_path, "", NOW_MS)
    assert files_in(folder) == []


def test_a_damaged_database_gives_no_back_up(database: Path, folder: Path, tmp_path: Path) -> None:
    data = bytearray(database.read_bytes())
    data[8192 * 3 : 8192 * 30] = os.urandom(8192 * 27)
    database.write_bytes(data)
    with pytest.raises(StoreError, match=r"ohlcv\.db: damaged"):
        take(database, folder, tmp_path, "", NOW_MS)
    assert files_in(folder) == []


def test_a_copy_that_is_not_sound_is_told_of_the_database(
    database: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(connection: apsw.Connection, partial: Path) -> None:
        _maintain.copy_to(connection, partial)
        partial.write_bytes(partial.read_bytes()[:20_000])

    monkeypatch.setattr(copying, "copy_to", spoilt)
    with pytest.raises(StoreError, match=r"ohlcv\.db: damaged, no copy of it is whole"):
        take(database, folder, tmp_path, "", NOW_MS)
    assert files_in(folder) == []


# -- room and rights


def test_a_full_disk_is_said_before_anything_is_written(
    database: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(_maintain.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(DiskError, match=r"6\d MB are needed on the disk of .*backups, 1 MB are free; make room there"):
        take(database, folder, tmp_path, "", NOW_MS)
    assert files_in(folder) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no such limit")
def test_a_disk_that_fills_up_on_the_way_leaves_nothing(database: Path, folder: Path) -> None:
    body = "\n".join("    " + line for line in TAKE.strip().splitlines())
    script = f"{LIMITED}{body}\nexcept DiskError as error:\n    sys.exit(error.exit_code)\n"
    assert ended(script, database.parent) == DiskError.exit_code
    assert files_in(folder) == []
    assert take(database, folder, database.parent, "", NOW_MS).backup.path.name == NAME


def test_a_folder_that_cannot_be_made_is_said(database: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiskError, match=r"back-ups .*file.*cannot be written"):
        take(database, tmp_path / "file" / "backups", tmp_path, "", NOW_MS)


def test_two_back_ups_at_once_do_not_take_each_others_files(database: Path, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(StoreError, match="another one is being made there"):
        take(database, folder, tmp_path, "", NOW_MS)


# -- kills


@pytest.mark.parametrize(("at", "moment"), list(itertools.product((1, 2), ("before", "after"))))
def test_a_kill_leaves_a_whole_back_up_or_none_and_the_next_one_clears_up(
    database: Path, folder: Path, at: int, moment: str
) -> None:
    old = take(database, folder, database.parent, "", NOW_MS - DAY_MS).backup.path
    assert ended(FAILPOINT + TAKE, "replace", at, moment, database.parent) == KILLED
    there = backups.listed(folder, database)
    assert [one.path for one in there][:1] == [old]
    for one in there:
        assert content(one.path) == content(database)
        assert one.archive.is_file()
    assert len(there) == (2 if (at, moment) == (2, "after") else 1)
    take(database, folder, database.parent, "", NOW_MS + DAY_MS)
    assert not [name for name in files_in(folder) if name.endswith(".part")]
    assert len(files_in(folder)) == 2 * len(backups.listed(folder, database))
    assert ROOT.is_dir()


def test_other_files_in_the_folder_are_left_alone(database: Path, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    named = ("ohlcv-of-mine.db", "ohlcv-notes.zip", "other.part", "ohlcv-20240101T000000Z.db.txt")
    dateless = ("ohlcv-20241399T250000Z.db", "ohlcv-20241399T250000Z.db.part", "ohlcv-99991231T235959Z.db")
    for name in (*named, *dateless):
        (folder / name).write_text("mine")
    take(database, folder, tmp_path, "", NOW_MS)
    assert len(files_in(folder)) == 9
    assert [one.path.name for one in backups.listed(folder, database)] == [NAME]


# -- rotation


def test_the_newest_of_each_day_and_of_each_week_are_kept() -> None:
    taken = [ms("2024-01-01T03:10") + day * DAY_MS for day in range(60)]  # a Monday first
    gone = backups.spare(taken, daily=7, weekly=4)
    kept = [datetime.fromtimestamp(one / 1000, tz=UTC).strftime("%m-%d %a") for one in taken if one not in gone]
    dailies = ["02-23 Fri", "02-24 Sat", "02-25 Sun", "02-26 Mon", "02-27 Tue", "02-28 Wed", "02-29 Thu"]
    assert kept == ["02-11 Sun", "02-18 Sun", *dailies]


def test_rotating_each_day_keeps_as_much_as_rotating_at_the_end() -> None:
    there: list[int] = []
    for day in range(60):
        there.append(ms("2024-01-01T03:10") + day * DAY_MS)
        gone = backups.spare(there, daily=7, weekly=4)
        there = [one for one in there if one not in gone]
        assert len(there) <= 11
    assert len(there) == 9


def test_of_several_on_a_day_the_newest_counts_and_a_gap_costs_no_back_up() -> None:
    monday = ms("2024-01-01T00:00")
    assert backups.spare([monday, monday + 1_000, monday + 2_000], daily=7, weekly=4) == [monday, monday + 1_000]
    rare = [monday + month * 30 * DAY_MS for month in range(8)]
    assert backups.spare(rare, daily=7, weekly=4) == rare[:1]
    assert backups.spare([], daily=7, weekly=4) == []


def test_dropping_removes_the_copy_and_its_archive(database: Path, folder: Path, tmp_path: Path) -> None:
    first = take(database, folder, tmp_path, "", NOW_MS).backup
    take(database, folder, tmp_path, "", NOW_MS + DAY_MS)
    backups.drop([first], folder)
    assert len(files_in(folder)) == 2
    assert len(backups.listed(folder, database)) == 1
