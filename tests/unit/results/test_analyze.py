"""The results as text and as a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pandas as pd
import pytest

from core.config import Config, load_config
from core.errors import DiskError, UsageError
from core.jobs._page import put_text
from core.jobs.analyze import analyze
from core.results.equity import EQUITY_COLUMNS
from core.results.metrics import conclusion, metrics
from core.results.rows import result_rows
from core.results.statistics import summarize
from core.store.reader import Reader
from core.store.writer import Writer
from tests.factories import EXIT_POLICY, PLAN_HASH, Story, signal_rows, trade_rows, write_database

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(REPOSITORY / "config.yaml", {})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_database(tmp_path_factory.mktemp("analyze") / "ohlcv.db", Story(days=21, every=20))


def test_the_text_holds_every_figure_of_the_page(database: Path, config: Config) -> None:
    reader = Reader(database)
    summary = summarize(result_rows(reader.trades(), reader.signals()))
    text = analyze(reader, config, None)
    assert conclusion(summary) in " ".join(text.split())
    for metric in metrics(summary):
        assert metric.label in text
        assert metric.value in text
    assert "SYNTHETIC MARKET" in text
    assert "no financial advice" in text
    assert "Account  " in text


def test_the_text_fits_a_terminal_and_its_columns_line_up(database: Path, config: Config) -> None:
    lines = analyze(Reader(database), config, None).splitlines()
    assert max(len(line) for line in lines) <= 100
    start = lines.index("How they ended") + 1
    table = lines[start : lines.index("", start)]
    assert len({len(line) for line in table}) == 1  # the last column stands to the right
    start = lines.index("All candidates") + 1
    figures = lines[start : lines.index("", start)]
    assert len({line.rindex("  ") for line in figures}) == 1


def test_the_file_holds_one_row_a_closed_trade(database: Path, config: Config, tmp_path: Path) -> None:
    out = tmp_path / "new" / "equity.csv"
    text = analyze(Reader(database), config, out)
    frame = pd.read_csv(out)
    assert list(frame.columns) == list(EQUITY_COLUMNS)
    assert len(frame) == len(Reader(database).trades(status="CLOSED"))
    assert str(out) in text
    assert [path.name for path in out.parent.iterdir()] == ["equity.csv"]


def test_the_file_is_the_same_when_written_again(database: Path, config: Config, tmp_path: Path) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    analyze(Reader(database), config, one)
    analyze(Reader(database), config, other)
    assert one.read_bytes() == other.read_bytes()


def test_nothing_to_count_names_the_command_and_writes_nothing(config: Config, tmp_path: Path) -> None:
    Writer(tmp_path / "ohlcv.db").close()
    out = tmp_path / "equity.csv"
    text = analyze(Reader(tmp_path / "ohlcv.db"), config, out)
    assert text.startswith("No signals yet.")
    assert "python retro_scan.py --start 2024-01-01" in text
    assert not out.exists()


def test_signals_that_were_not_played_are_told_apart_from_none(config: Config, tmp_path: Path) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=2, trades=False))
    assert analyze(Reader(path), config, None).startswith("No trades of synthetic yet.")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"exchange": "synthetik"}, "exchange 'synthetik' is not on record; did you mean 'synthetic'"),
        ({"plan_hash": "plan0002"}, "plan 'plan0002' is not on record; did you mean 'plan0001'"),
        ({"exit_policy": "tp1_be_trail@0"}, "exit policy 'tp1_be_trail@0' is not on record; did you mean"),
        ({"by": ["tmeframe"]}, "did you mean 'timeframe'"),
    ],
)
def test_what_is_not_on_record_is_refused_with_the_nearest(
    database: Path, config: Config, asked: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        analyze(Reader(database), config, None, **asked)


def test_the_newest_plan_is_counted_unless_another_is_named(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    with Writer(path) as writer:
        ids = writer.put_signals(signal_rows([{"plan_hash": "old"}, {"plan_hash": "new"}, {"plan_hash": "new"}]))["id"]
        writer.put_trades(trade_rows([{"signal_id": int(number)} for number in ids]))
        writer.set_frontier("synthetic", "BTC/USDT:USDT", "15m", 1)
    assert "plan new (2 signals)" in analyze(Reader(path), config, None)
    assert "plan old (1 signal)" in analyze(Reader(path), config, None, plan_hash="old")


def test_unjudged_signals_are_said_to_be_so(config: Config, tmp_path: Path) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=2, verdict="UNGATED"))
    assert "UNGATED: no model is in force" in analyze(Reader(path), config, None)


def test_a_place_that_cannot_be_written_is_named(database: Path, config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"file/equity\.csv: cannot be written"):
        analyze(Reader(database), config, tmp_path / "file" / "equity.csv")


@pytest.mark.parametrize("name", [".", "", "/", "folder"])
def test_a_folder_is_no_place_for_a_file_and_nothing_is_left_beside_it(
    database: Path, config: Config, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DiskError, match="is a folder; name a file in it"):
        analyze(Reader(database), config, Path(name))
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_fails_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"cannot be written \(No space left on device\); check space and permissions"):
        put_text(tmp_path / "equity.csv", "x")
    assert list(tmp_path.iterdir()) == []


def test_plan_and_exit_policy_stand_above_the_figures(database: Path, config: Config) -> None:
    first = analyze(Reader(database), config, None).splitlines()[0]
    assert PLAN_HASH in first
    assert EXIT_POLICY in first
