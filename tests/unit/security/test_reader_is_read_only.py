"""The viewer cannot write: not through its statements, not to the file, and it needs no right to."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from core.errors import StoreError, UsageError
from core.store.connection import open_reader
from core.store.migrations import SCHEMA_VERSION
from core.store.reader import Reader
from core.store.writer import Writer
from tests.factories import Story, write_database
from tests.unit.security.weak import can_be_bound, run_bound

FORBIDDEN = [
    "INSERT INTO meta VALUES ('a', 'b')",
    "REPLACE INTO meta VALUES ('a', 'b')",
    "UPDATE series SET frontier_ms = 0",
    "UPDATE candle SET close = 1 RETURNING close",
    "DELETE FROM candle",
    "DROP TABLE candle",
    "ALTER TABLE candle RENAME TO c",
    "CREATE TABLE x (y)",
    "CREATE TEMP TABLE x (y)",
    "CREATE TEMP VIEW x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE INDEX x ON candle (close)",
    "CREATE TRIGGER x AFTER INSERT ON meta BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE x USING fts5(y)",
    "ATTACH ':memory:' AS other",
    "ATTACH 'file:other.db?mode=rwc' AS other",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "REINDEX",
    "ANALYZE",
    "PRAGMA writable_schema = 1",
    "PRAGMA WRITABLE_SCHEMA = ON",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode(DELETE)",
    "PRAGMA user_version = 7",
    "PRAGMA main.user_version = 7",
    "PRAGMA query_only = 0",
    "PRAGMA trusted_schema = 1",
    "PRAGMA wal_checkpoint",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA incremental_vacuum(10)",
    "PRAGMA optimize",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA mmap_size = 1000000000",
    "PRAGMA cache_size = 1",
    "PRAGMA database_list",
    "SELECT * FROM pragma_journal_mode('delete')",
    "SELECT * FROM pragma_database_list",
    "SELECT load_extension('x')",
    "SELECT writefile('x', 'y')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x')",
    "SELECT randomblob(1000000000)",
    "SELECT zeroblob(1000000000)",
    "SELECT fts3_tokenizer('x', 'y')",
    "SELECT sqlite_compileoption_get(1)",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "SELECT 1; DELETE FROM candle",
]
HOSTILE = ["'; DROP TABLE signals; --", '" OR 1=1 --', "x' OR 'a'='a", "%", "\x00", "🙂" * 100, "../../etc/passwd"]
REFUSED = (
    r"not a plain question|not authorized|cannot VACUUM|no such function|no such module|prohibited|unknown database"
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return write_database(tmp_path / "data" / "ohlcv.db", Story(days=2, timeframes=("15m",)))


def everything(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def content(folder: Path) -> dict[str, str]:
    """Return the same without the index, which holds the marks of readers."""
    return {name: digest for name, digest in everything(folder).items() if not name.endswith("-shm")}


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_a_statement_that_is_no_question_is_refused_and_changes_nothing(statement: str, database: Path) -> None:
    before = content(database.parent)
    with pytest.raises(StoreError, match=REFUSED), open_reader(database, SCHEMA_VERSION) as connection:
        list(connection.execute(statement))
    assert content(database.parent) == before


def test_the_library_itself_refuses_to_load_and_to_be_written_to(database: Path) -> None:
    with open_reader(database, SCHEMA_VERSION) as connection:
        assert connection.readonly("main")
        with pytest.raises(apsw.ExtensionLoadingError):
            connection.load_extension("x")
        with pytest.raises(apsw.ReadOnlyError):
            connection.authorizer = None  # even without the guard the file was opened for reading alone
            connection.execute("DELETE FROM candle")
        assert connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, -1)
        assert not connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, -1)


def test_a_view_somebody_put_into_the_file_runs_nothing_dangerous(database: Path) -> None:
    connection = apsw.Connection(str(database))
    connection.execute("DROP VIEW ohlcv; CREATE VIEW ohlcv AS SELECT load_extension('evil') AS x")
    connection.close()
    with pytest.raises(StoreError), open_reader(database, SCHEMA_VERSION) as reader:
        list(reader.execute("SELECT * FROM ohlcv"))


def text_questions() -> list[tuple[str, list[str]]]:
    """Return the reader's questions that take text, with the names of those parameters."""
    found = []
    for name, method in inspect.getmembers(Reader, inspect.isfunction):
        if name.startswith("_") or name in ("over", "snapshot"):
            continue
        signature = inspect.signature(method, eval_str=True)
        texts = [p.name for p in signature.parameters.values() if p.annotation in (str, str | None)]
        if texts:
            found.append((name, texts))
    return found


def _filled(name: str, texts: list[str], value: str) -> dict[str, Any]:
    """Return arguments: the hostile text for every text, something plain for what else must be given."""
    plain = {int: 1, float: 1.0, bool: False, int | None: None}
    filled: dict[str, Any] = {}
    for parameter in list(inspect.signature(getattr(Reader, name), eval_str=True).parameters.values())[1:]:
        if parameter.name in texts:
            filled[parameter.name] = value
        elif parameter.default is inspect.Parameter.empty and parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            filled[parameter.name] = plain.get(parameter.annotation, [])
    return filled


def test_there_are_questions_that_take_text() -> None:
    assert len(text_questions()) > 10


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(("name", "texts"), text_questions(), ids=lambda item: item if isinstance(item, str) else "")
def test_hostile_words_are_values_and_never_part_of_a_question(
    name: str, texts: list[str], value: str, many_questions: Reader
) -> None:
    filled = _filled(name, texts, value)
    try:
        answer = getattr(many_questions, name)(**filled)
    except UsageError:
        return  # it is not even a timeframe
    except StoreError as error:
        assert "syntax" not in str(error)
        assert "no such" not in str(error)
        return
    assert "DROP TABLE" not in str(answer) or name in ("meta",)
    assert len(many_questions.signals()) > 0


@pytest.fixture(scope="module")
def many_questions(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    path = tmp_path_factory.mktemp("asked") / "ohlcv.db"
    return Reader(write_database(path, Story(days=2, timeframes=("15m",))))


def test_hostile_words_are_stored_as_they_are(tmp_path: Path) -> None:
    with Writer(tmp_path / "ohlcv.db") as writer:
        for value in HOSTILE:
            if "\x00" not in value:
                writer.set_meta(value, value)
                assert writer.reader.meta(value) == value
        assert writer.reader.signals().empty


# --- the viewer's process


DRAW = """
import json, os
from streamlit.testing.v1 import AppTest

seen = []
for name in ("signals_candles", "results"):
    at = AppTest.from_string(f"from core.dashboard.{name} import page; page()", default_timeout=60).run()
    seen.append([[str(each) for each in at.exception], [each.value for each in at.error], len(at.title)])
folder = os.path.dirname(os.environ["TRADER_DB"])
try:
    open(os.path.join(folder, "x"), "w")
    seen.append("could write")
except OSError:
    seen.append("could not write")
print(json.dumps(seen))
"""


@pytest.mark.skipif(not can_be_bound(), reason="rights of files bind nobody here")
def test_the_pages_need_no_right_to_write_and_leave_every_byte_as_it_was(database: Path) -> None:
    with Writer(database) as writer:
        writer.set_meta("k", "in the log, not yet in the file")
        assert (database.parent / "ohlcv.db-wal").stat().st_size > 0
        before = everything(database.parent)
        for path in database.parent.iterdir():
            path.chmod(0o400)
        database.parent.chmod(0o500)
        ran = run_bound(DRAW, TRADER_DB=str(database), TRADER_CONFIG=str(database.parent.parent / "none.yaml"))
        database.parent.chmod(0o700)
        assert everything(database.parent) == before
    assert ran.returncode == 0, ran.stderr
    *pages, writing = json.loads(ran.stdout.splitlines()[-1])
    assert pages == [[[], [], 1], [[], [], 1]]
    assert writing == "could not write"


ASK = """
import sys
from pathlib import Path
from core.store.reader import Reader
print(Reader(Path(sys.argv[1])).meta("k"))
"""


@pytest.mark.skipif(not can_be_bound(), reason="rights of files bind nobody here")
def test_a_reader_without_rights_sees_each_commit_of_a_writer_at_once(database: Path) -> None:
    with Writer(database) as writer:
        for number in range(3):
            writer.set_meta("k", str(number))
            writer.checkpoint()
            writer.set_meta("k", f"{number} and more")
            for path in database.parent.iterdir():
                path.chmod(0o400)
            database.parent.chmod(0o500)
            ran = run_bound(ASK, str(database))
            database.parent.chmod(0o700)
            assert ran.stdout.strip() == f"{number} and more", ran.stderr
