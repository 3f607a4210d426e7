"""`trader stress` on a database the engine has written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from core.cli import main
from core.errors import UsageError
from core.jobs.stress import StressRequest, stress_text
from core.pipeline import simulate
from core.results.rows import result_rows
from core.results.statistics import summarize
from core.results.stress import stress
from core.results.variants import VARIANTS
from core.store.reader import Reader
from core.store.writer import Writer
from tests.engine import trader
from tests.scanned import SYMBOLS, scanned_tape


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scanned_tape(tmp_path_factory.mktemp("stress"))


@pytest.fixture(scope="module")
def reader(config: Path) -> Reader:
    return Reader(config.parent / "ohlcv.db")


def test_the_first_line_is_what_results_show(reader: Reader) -> None:
    signals, trades = reader.signals(), reader.trades()
    shown = summarize(result_rows(trades, signals))
    assert shown.n_closed > 50
    (policy,) = set(trades["exit_policy"])
    found = stress(reader, "synthetic", policy, signals, simulate)
    assert found.differing == 0
    assert found.n == len(trades)
    assert found.lines[0].summary == shown
    assert [line.variant.name for line in found.lines] == ["played", *VARIANTS]


def test_the_command_prints_each_variant_and_writes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = config.parent / "ohlcv.db"
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    assert trader(config, "stress") == 0
    first = capsys.readouterr().out
    assert trader(config, "stress") == 0
    assert capsys.readouterr().out == first
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    for name in ("as played", *VARIANTS):
        assert f"\n{name}" in first
    assert "SYNTHETIC MARKET" in first
    assert "UNGATED" in first
    assert "come out as stored" in " ".join(first.split())
    assert max(len(line) for line in first.splitlines()) <= 100


def test_progress_runs_to_its_end(reader: Reader) -> None:
    told: list[tuple[int, int, str]] = []
    stress_text(reader, StressRequest(), lambda done, total, symbol: told.append((done, total, symbol)))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][:2] == (1000, 1000)
    assert {symbol for _, _, symbol in told} == set(SYMBOLS)


def test_options_choose_what_is_played(config: Path, reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    signals = reader.signals()
    mine = (signals["symbol"] == SYMBOLS[0]) & (signals["timeframe"] == "5m")
    mine &= (signals["decided_ms"] >= 1_704_240_000_000) & (signals["decided_ms"] < 1_705_017_600_000)
    assert 0 < mine.sum() < len(signals)
    options = ["--symbols", SYMBOLS[0], "--timeframes", "5m", "--start", "2024-01-03", "--end", "2024-01-12"]
    assert trader(config, "stress", *options, "--variants", "through", "delay-7") == 0
    out = capsys.readouterr().out
    assert f": {mine.sum():,} of {len(signals):,} candidates" in out.replace("\n", " ")
    assert "\ndelay-7" in out
    assert "\noptimistic" not in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variants", "optimist"], "did you mean 'optimistic'"),
        (["--symbols", "BTC/USDT"], "did you mean 'BTC/USDT:USDT'"),
        (["--timeframes", "4h"], "timeframe '4h' has no trade"),
        (["--exit-policy", "other@1"], "exit policy 'other@1' is not on record"),
    ],
)
def test_what_is_not_on_record_is_refused_in_one_line(
    config: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["stress", "--config", str(config), *options]) == UsageError.exit_code
    told = capsys.readouterr().err.strip().splitlines()
    assert message in told[-1]


def test_a_choice_without_candidates_says_so(reader: Reader) -> None:
    assert "Nothing to play" in stress_text(reader, StressRequest(end_ms=1))


def test_an_empty_database_names_the_command_that_fills_it(tmp_path: Path) -> None:
    Writer(tmp_path / "ohlcv.db").close()
    text = stress_text(Reader(tmp_path / "ohlcv.db"), StressRequest())
    assert text.startswith("No signals yet.")
    assert "python retro_scan.py" in text
