"""docs/database.md against a database: every table, the names others rely on, and the queries it shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from core.jobs import cycle, maintain, weekly
from core.schema import TRADES
from core.store.writer import Writer
from tests.docs.pages import blocks_of, codes_in, first_codes, table_after, text_of
from tests.factories import Story, write_database

PAGE = text_of("docs/database.md")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_database(tmp_path_factory.mktemp("docs") / "data" / "ohlcv.db", Story())


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The columns of every table and view of an empty database."""
    path = tmp_path_factory.mktemp("docs") / "empty.db"
    Writer(path).close()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    listed = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    names = [name for (name,) in connection.execute(listed)]
    asked = "SELECT name FROM pragma_table_info(?)"
    found = {name: [column for (column,) in connection.execute(asked, (name,))] for name in names}
    connection.close()
    return found


def test_every_table_has_a_row_and_every_row_a_table(columns: dict[str, list[str]]) -> None:
    assert sorted(first_codes(table_after(PAGE, "## Every table"))) == sorted(columns)


def test_the_names_others_rely_on_are_those_of_the_database_in_its_order(columns: dict[str, list[str]]) -> None:
    for row in table_after(PAGE, "## Names others may rely on"):
        (table,), (told,) = codes_in(row[0]), codes_in(row[1])
        names = told.split(", ")
        assert names == columns[table][: len(names)], table


def test_the_state_a_trade_carries_is_described(columns: dict[str, list[str]]) -> None:
    rows = table_after(PAGE, "## Names others may rely on")
    (told,) = (codes_in(row[1])[0].split(", ") for row in rows if codes_in(row[0]) == ["trades"])
    rest = [name for name in columns["trades"] if name not in told]
    assert set(TRADES) <= {*told, *rest}
    text = PAGE.partition("`trades` holds more columns")[2].partition("## ")[0]
    assert codes_in(text) == rest


def test_every_job_that_is_recorded_is_described() -> None:
    recorded = {*weekly.JOBS, *(name for name, _ in cycle.STAGES)}
    recorded |= set(maintain.PARTS)
    assert set(first_codes(table_after(PAGE, "## Jobs"))) == recorded


def test_the_query_the_page_shows_gives_rows(database: Path) -> None:
    (query,) = blocks_of(PAGE, "sql")
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    rows = list(connection.execute(query))
    connection.close()
    assert rows
    assert sum(row[2] for row in rows) > 0


def test_the_python_the_page_shows_reads_a_database_in_a_process_of_its_own(database: Path) -> None:
    (script,) = blocks_of(PAGE, "python")
    script += "\nimport json; print(json.dumps(rows))"
    asked = [sys.executable, "-c", script]
    told = subprocess.run(asked, cwd=database.parent.parent, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(told.stdout)


def test_the_shell_line_the_page_shows_is_a_query_the_database_answers(database: Path) -> None:
    (line,) = blocks_of(PAGE, "bash")
    query = re.search(r'"(SELECT .+)"', line)
    assert query
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    rows = list(connection.execute(query[1]))
    connection.close()
    assert len(rows) == 5
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", rows[0][0])
