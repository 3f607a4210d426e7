"""Restoring: the old database or the new one, whole, whenever the process is killed; and always a way back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from core.errors import DiskError, InputFileError, ModelError, StoreError
from core.store import _maintain, artefacts
from core.store.copying import take
from core.store.migrations import MIGRATIONS, migrate
from core.store.reader import Reader
from core.store.restore import _bring_models, restore
from core.store.writer import Writer
from tests.unit.store.copies import FAILPOINT, KILLED, NOW_MS, ROOT, content, ended, small, with_model

RESTORE = """
from pathlib import Path
from core.store.restore import restore
source, database = map(Path, sys.argv[4:6])
restore(source, database, database.parent / "models", 1_704_250_000_000)
"""
OPEN = """
import sys, time
from pathlib import Path
import apsw
connection = apsw.Connection(sys.argv[1])
cursor = connection.execute("SELECT * FROM candle")
next(cursor)
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return small(tmp_path / "ohlcv.db")


@pytest.fixture
def backup(database: Path, tmp_path: Path) -> Path:
    """A back-up of the database as it was before its note was changed."""
    path = take(database, tmp_path / "backups", tmp_path / "models", "", NOW_MS).backup.path
    with Writer(database) as writer:
        writer.set_meta("note", "second")
    return path


@contextmanager
def opened_elsewhere(database: Path) -> Iterator[int]:
    """Keep a question open in another process; its number."""
    process = subprocess.Popen([sys.executable, "-c", OPEN, str(database)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def put_back(backup: Path, database: Path, force: bool = False) -> Path:
    kept = restore(backup, database, database.parent / "models", NOW_MS, force=force).kept
    assert kept is not None
    return kept


def test_a_restored_database_has_the_content_of_the_back_up_and_the_old_one_is_kept(
    database: Path, backup: Path
) -> None:
    before, then = content(database), content(backup)
    kept = put_back(backup, database)
    assert content(database) == then
    assert content(kept) == before
    assert kept.name == "ohlcv.db.before-restore-20240103T024640Z"
    assert content(backup) == then, "the back-up stays as it was"


def test_a_restore_is_taken_back_by_restoring_what_was_kept(database: Path, backup: Path) -> None:
    before = content(database)
    kept = put_back(backup, database)
    again = put_back(kept, database)
    assert content(database) == before
    assert again != kept and Reader(again).meta("note") == "first"


def test_it_goes_on_from_there(database: Path, backup: Path) -> None:
    put_back(backup, database)
    with Writer(database) as writer:
        assert writer.reader.meta("note") == "first"
        writer.set_meta("note", "third")
        assert writer.checkpoint().complete
    assert content(database)["meta"] == [("note", "third"), ("synthetic:synthetic", "1")]


def test_what_was_in_the_log_is_kept_with_the_old_one_and_never_reaches_the_new_one(
    database: Path, backup: Path
) -> None:
    with Writer(database) as writer:
        writer.set_meta("note", "only in the log")
        log, file = (Path(f"{database}{ending}").read_bytes() for ending in ("-wal", ""))
    Path(f"{database}-wal").write_bytes(log)
    database.write_bytes(file)
    kept = put_back(backup, database)
    assert Reader(kept).meta("note") == "only in the log"
    assert content(database) == content(backup)


def test_where_there_is_no_database_the_back_up_becomes_it(backup: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "ohlcv.db"
    done = restore(backup, target, tmp_path / "models", NOW_MS)
    assert done.kept is None
    assert content(target) == content(backup)
    assert "take this back" not in str(done)


def test_a_database_that_another_process_has_open_is_left_alone(database: Path, backup: Path) -> None:
    before = sorted(path.name for path in database.parent.iterdir())
    with opened_elsewhere(database) as pid:
        with pytest.raises(StoreError, match="has it open; end it, or add --force") as refused:
            put_back(backup, database)
        assert sys.platform != "linux" or f"process {pid} (" in str(refused.value)
        assert sorted(path.name for path in database.parent.iterdir()) == before
        assert Reader(database).meta("note") == "second"


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be renamed there")
def test_by_force_a_reader_keeps_the_old_one_and_everybody_else_sees_the_new_one(database: Path, backup: Path) -> None:
    with opened_elsewhere(database):
        with Writer(database) as writer:
            writer.set_meta("note", "written while it was read")
        kept = put_back(backup, database, force=True)
        assert content(database) == content(backup)
    assert Reader(kept).meta("note") == "written while it was read"


def test_a_damaged_database_is_replaced_and_kept_with_its_log(database: Path, backup: Path) -> None:
    with Writer(database) as writer:
        writer.set_meta("note", "in the log")
        log = Path(f"{database}-wal").read_bytes()
    database.write_bytes(os.urandom(50_000))
    Path(f"{database}-wal").write_bytes(log)
    kept = put_back(backup, database)
    assert content(database) == content(backup)
    assert len(kept.read_bytes()) == 50_000
    assert Path(f"{kept}-wal").read_bytes() == log


@pytest.mark.parametrize(
    ("function", "at"), [("replace", 1), ("link", 1), ("unlink", 2), ("unlink", 3), ("fsync", 1), ("fsync", 2)]
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_whenever_it_is_killed_the_name_leads_to_the_old_or_the_new_one_whole(
    database: Path, backup: Path, function: str, at: int, moment: str
) -> None:
    old, new = content(database), content(backup)
    assert ended(FAILPOINT + RESTORE, function, at, moment, backup, database) == KILLED
    found = content(database)
    assert found in (old, new)
    assert found == old or (function, moment) in (("replace", "after"), ("fsync", "before"), ("fsync", "after"))
    with Writer(database) as writer:  # and the next start finds nothing that does not belong to it
        assert writer.reader.meta("note") in ("first", "second")
    put_back(backup, database)
    assert content(database) == new
    assert not list(database.parent.glob("*.restoring*"))


# -- what is refused


def test_the_database_itself_is_no_back_up(database: Path) -> None:
    with pytest.raises(InputFileError, match="that is the database itself"):
        put_back(database, database)


def test_a_damaged_foreign_empty_or_missing_file_changes_nothing(database: Path, backup: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    data = bytearray(backup.read_bytes())
    data[8192 * 5 : 8192 * 9] = os.urandom(8192 * 4)
    damaged.write_bytes(data)
    foreign = tmp_path / "foreign.db"
    connection = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    (tmp_path / "empty.db").write_bytes(b"")
    (tmp_path / "text.db").write_text("not a database at all" * 100)
    (tmp_path / "cut.db").write_bytes(backup.read_bytes()[:20_000])
    (tmp_path / "folder").mkdir()
    for name, why in {
        "damaged.db": "",
        "cut.db": "database disk image is malformed",
        "foreign.db": "without its mark",
        "empty.db": "empty",
        "text.db": "file is not a database",
        "folder": "a folder",
    }.items():
        with pytest.raises(InputFileError, match=rf"{name}: not one of this program, or damaged \(.*{why}") as refused:
            put_back(tmp_path / name, database)
        assert str(refused.value).endswith("; `trader backup --list` shows others")
    with pytest.raises(InputFileError, match="there is no such file; `trader backup --list` shows what there is"):
        put_back(tmp_path / "missing.db", database)
    assert Reader(database).meta("note") == "second"
    assert not list(tmp_path.glob("ohlcv.db.*restor*"))


def test_a_back_up_of_a_newer_program_is_refused_in_one_line(database: Path, backup: Path) -> None:
    connection = apsw.Connection(str(backup))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreError, match="schema 99 is newer than this program's") as refused:
        put_back(backup, database)
    assert "\n" not in str(refused.value)
    assert Reader(database).meta("note") == "second"


def test_a_back_up_of_an_older_program_is_brought_up_to_date(database: Path, tmp_path: Path) -> None:
    older = tmp_path / "older.db"
    migrate(older, steps=MIGRATIONS[:1])
    done = restore(older, database, tmp_path / "models", NOW_MS)
    assert (done.migration.from_version, done.migration.to_version) == (1, len(MIGRATIONS))
    assert "migrated from schema 1" in str(done)
    assert Reader(database).series().empty
    assert Reader(older.with_name("ohlcv.db")).models().empty


def test_a_full_disk_is_said_before_anything_is_changed(
    database: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(database.parent)
    monkeypatch.setattr(_maintain.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(DiskError, match="are needed on the disk of"):
        put_back(backup, database)
    assert Reader(database).meta("note") == "second"


def test_a_disk_without_second_names_gets_a_copy(database: Path, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", refused)
    before = content(database)
    kept = put_back(backup, database)
    assert (content(kept), content(database)) == (before, content(backup))
    assert not list(database.parent.glob("*.part"))


# -- models


def test_models_that_are_missing_come_back_and_those_that_are_there_stay(database: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    version = with_model(database, models)
    backup = take(database, tmp_path / "backups", models, "", NOW_MS).backup.path
    sha256 = Reader(database).models().set_index("version").loc[version, "sha256"]
    assert restore(backup, database, models, NOW_MS).models == ()
    shutil.rmtree(models)
    done = restore(backup, database, models, NOW_MS)
    assert done.models == (version,)
    assert f"model {version}: brought back" in str(done)
    assert set(artefacts.load(models, version, sha256)) == {"card.json", "model.ubj"}


def test_an_archive_that_was_tampered_with_brings_no_model_and_leaves_nothing_outside(
    database: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    version = with_model(database, models)
    backup = take(database, tmp_path / "backups", models, "", NOW_MS).backup
    shutil.rmtree(models)
    with zipfile.ZipFile(backup.archive, "w") as archive:
        archive.writestr(f"models/{version}/card.json", b"{}")
        archive.writestr(f"models/{version}/model.ubj", b"evil")
        archive.writestr("models/../../outside.txt", b"evil")
        archive.writestr("models/unknown/card.json", b"{}")
    done = restore(backup.path, database, models, NOW_MS)
    assert done.models == ()
    assert len(done.problems) == 1 and version in done.problems[0]
    assert not list(tmp_path.rglob("outside.txt")) and not (models / "unknown").exists()
    with pytest.raises(ModelError):
        artefacts.load(models, version, "0" * 64)


def test_an_archive_that_cannot_be_read_keeps_no_database_from_coming_back(database: Path, backup: Path) -> None:
    backup.with_suffix(".zip").write_bytes(b"PK not really")
    done = restore(backup, database, database.parent / "models", NOW_MS)
    assert "cannot be read" in done.problems[0]
    assert content(database) == content(backup)


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (range(40), "Bad magic number"),  # the header of its first file
        (range(50, 51), "differ"),  # the name in it
        (range(-6, -2), "damaged in .+zip"),  # the last bytes of what is packed
    ],
)
def test_a_model_that_is_damaged_in_the_archive_costs_no_other_one(
    database: Path, tmp_path: Path, spoilt: range, told: str
) -> None:
    models, versions = tmp_path / "models", [f"m2024010{day}-0badcafe" for day in (1, 2, 3)]
    for version in versions:
        with_model(database, models, version)
    backup = take(database, tmp_path / "backups", models, "", NOW_MS).backup
    with zipfile.ZipFile(backup.archive) as archive:
        starts = [one.header_offset for one in archive.infolist() if versions[1] in one.filename]
        ends = min(one.header_offset for one in archive.infolist() if versions[2] in one.filename)
    data = bytearray(backup.archive.read_bytes())
    for place in spoilt:
        data[(starts[0] if place >= 0 else ends) + place] ^= 0xFF
    backup.archive.write_bytes(data)
    shutil.rmtree(models)
    done = restore(backup.path, database, models, NOW_MS)
    assert done.models == (versions[0], versions[2])
    (line,) = done.problems
    assert versions[1] in line and re.search(told, line)
    assert str(done).endswith(f"to take this back: `trader restore {done.kept}`")


def test_no_byte_of_an_archive_that_flips_keeps_the_way_back_from_being_told(database: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    version = with_model(database, models)
    backup = take(database, tmp_path / "backups", models, "", NOW_MS).backup
    whole = backup.archive.read_bytes()
    for place in range(0, len(whole), 4):
        data = bytearray(whole)
        data[place] ^= 0x5A
        backup.archive.write_bytes(data)
        shutil.rmtree(models, ignore_errors=True)
        brought, problems = _bring_models(backup.archive, database, models)
        assert brought in ((), (version,)) and all("\n" not in line for line in problems)


def test_a_folder_that_takes_no_models_keeps_no_database_from_coming_back(database: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    version = with_model(database, models)
    backup = take(database, tmp_path / "backups", models, "", NOW_MS).backup.path
    shutil.rmtree(models)
    models.write_text("in the way")
    done = restore(backup, database, models, NOW_MS)
    assert content(database) == content(backup)
    assert len(done.problems) == 1 and f"model {version}: not brought back; models " in done.problems[0]
    assert f"trader restore {done.kept}" in str(done)


def test_a_back_up_that_cannot_be_brought_up_to_date_is_in_force_and_the_way_back_is_told(
    database: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older.db"
    migrate(older, steps=MIGRATIONS[:1])
    older.with_suffix(".zip").write_bytes(b"")
    (tmp_path / "ohlcv.db.bak-v1").mkdir()  # where the copy before the first step goes
    done = restore(older, database, tmp_path / "models", NOW_MS)
    assert done.migration is None
    assert "not brought up to date: " in done.problems[0] and f"trader restore {done.kept}" in str(done)
    assert content(database) == content(older)
