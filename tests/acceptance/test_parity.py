"""Live decisions come out of the database again, and whatever does not is explained, or counts as a bug."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, timeframe_ms
from core.schema import Candles
from core.store.reader import Reader
from core.store.writer import Writer
from tests import parities
from tests.engine import trader, write_config
from tests.parities import BTC, EXCHANGE, Counts, Told, change

Table = dict[str, Counts]

DAYS = 12


def tape(days: int = DAYS, **changed: object) -> dict[str, Any]:
    return parities.tape(days, **changed)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a tape was played through the live engine."""
    home = tmp_path_factory.mktemp("played")
    assert trader(write_config(home, tape()), "run") == 0
    return home


@dataclass(frozen=True)
class Case:
    """A copy of the played record, to be tampered with."""

    config: Path
    database: Path
    ask: Callable[..., tuple[int, Table, list[str], str]]

    def sql(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        """Change the file behind the engine's back."""
        change(self.database, *statements)

    @property
    def signals(self) -> pd.DataFrame:
        return Reader(self.database).signals(exchange=EXCHANGE, symbol=BTC)


@pytest.fixture
def case(played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Case:
    for path in played.glob("ohlcv.db*"):
        shutil.copy(path, tmp_path / path.name)
    config = write_config(tmp_path, tape())

    def ask(*arguments: str, config: Path = config) -> tuple[int, Table, list[str], str]:
        told = parities.ask(capsys, config, *arguments)
        return told.code, told.table, told.lines, told.err

    return Case(config, tmp_path / "ohlcv.db", ask)


def differences(table: Table) -> Table:
    return Told(0, table, [], "").differences


def a_settled_signal(signals: pd.DataFrame, timeframe: str = "15m") -> pd.Series:
    """A signal whose leg lies well inside the tape."""
    late = signals[(signals["timeframe"] == timeframe) & (signals["decided_ms"] > signals["decided_ms"].quantile(0.6))]
    return late.iloc[0]


def revise(database: Path, start_ms: int, end_ms: int, change: Callable[[Candles], Candles], seen_ms: int) -> None:
    """Store other minutes, as a late revision does, and ask for the longer candles to be made again."""
    with Writer(database) as writer:
        minutes = writer.reader.candles(EXCHANGE, BTC, "1m", start_ms, end_ms)
        writer.put_candles(EXCHANGE, BTC, "1m", change(minutes), seen_ms)
        writer.set_meta(f"rebuild:{EXCHANGE}:{BTC}", str(start_ms))


def test_a_replay_comes_out_again_row_by_row(case: Case) -> None:
    code, table, lines, _ = case.ask()
    assert code == 0
    assert min(table["recorded"]) > 50
    assert table["come out the same"] == table["recorded"]
    assert differences(table) == {} and lines == []


def test_it_changes_nothing_and_answers_for_a_part(case: Case) -> None:
    before = case.database.read_bytes()
    code, table, _, _ = case.ask("--symbols", BTC, "--timeframes", "1h")
    assert code == 0
    mine = case.signals
    assert table["recorded"][0] == (mine["timeframe"] == "1h").sum() > 3
    half = int(mine["decided_ms"].median())
    code, table, _, _ = case.ask("--symbols", BTC, "--start", str(half))
    assert (code, table["recorded"][0]) == (0, (mine["decided_ms"] > half).sum())
    assert case.database.read_bytes() == before


def test_a_revised_candle_is_the_reason_of_what_follows_from_it(case: Case) -> None:
    signal = a_settled_signal(case.signals)
    ts_ms = int(signal["ts_ms"])

    def wider(minutes: Candles) -> Candles:
        return replace(minutes, high=minutes.high * 1.004, low=minutes.low * 0.996)

    revise(case.database, ts_ms, ts_ms + timeframe_ms("15m"), wider, int(signal["decided_ms"]) + DAY_MS)
    assert trader(case.config, "scan-signals") == 0
    code, table, lines, _ = case.ask()
    assert code == 0
    assert {"revised candle"} <= set(differences(table)) <= {"revised candle", "revised benchmark candle"}
    assert table["revised benchmark candle"].signals == 0
    mine = [line for line in lines if line.startswith(f"signal {signal['id']} ")]
    assert len(mine) == 1
    assert "revised candle (15m 20" in mine[0]


def test_a_revision_of_the_minutes_a_trade_was_played_on_explains_the_trade(case: Case) -> None:
    reader = Reader(case.database)
    trades = reader.trades(exchange=EXCHANGE, symbol=BTC, status="CLOSED")
    stopped = trades[trades["exit_reason"] == "SL"].iloc[-1]

    def higher(minutes: Candles) -> Candles:
        return replace(minutes, open=minutes.open * 1.05, high=minutes.high * 1.05, low=minutes.low * 1.05)

    at = int(stopped["closed_ms"])
    with Writer(case.database) as writer:  # the minutes alone: what was decided on longer candles stays out of it
        minutes = writer.reader.candles(EXCHANGE, BTC, "1m", at, at + MINUTE_MS)
        writer.put_candles(EXCHANGE, BTC, "1m", higher(minutes), at + HOUR_MS)
    code, table, lines, _ = case.ask()
    assert code == 0
    (cause,) = differences(table)
    assert cause == "revised candle" and table[cause] == Counts(trades=table[cause].trades)
    assert any(line.startswith(f"trade {stopped['signal_id']} ") for line in lines)


def test_minutes_that_came_after_all_are_the_reason_of_what_they_change(tmp_path: Path, case: Case) -> None:
    hole_ms = int(a_settled_signal(case.signals)["ts_ms"])
    whole = Reader(case.database).candles(EXCHANGE, BTC, "1m")
    end_ms = int(whole.ts[-1]) + MINUTE_MS
    with Writer(tmp_path / "source.db") as source:
        source.put_instruments(list(Reader(case.database).instruments(EXCHANGE).values()))
        kept = Candles.concat([whole.between(None, hole_ms), whole.between(hole_ms + 15 * MINUTE_MS)])
        source.put_candles(EXCHANGE, BTC, "1m", kept, end_ms)
    home = tmp_path / "late"
    playing = {"id": "replay", "replay": {"path": f"db:{tmp_path / 'source.db'}", "as": EXCHANGE, "step": "1h"}}
    config = write_config(home, tape(exchange=playing, symbols=[BTC]))
    assert trader(config, "run") == 0
    assert case.ask(config=config)[:2][0] == 0

    revise(home / "ohlcv.db", hole_ms, end_ms, lambda _: whole.between(hole_ms, hole_ms + 15 * MINUTE_MS), end_ms)
    assert trader(config, "scan-signals") == 0
    code, table, lines, _ = case.ask(config=config)
    assert code == 0
    assert set(differences(table)) <= {"late candle", "revised candle"}
    assert table["late candle"].signals >= 1
    assert any("late candle (15m 20" in line for line in lines)


def test_a_candle_that_is_gone_is_named(case: Case) -> None:
    signal = a_settled_signal(case.signals)
    key = (EXCHANGE, BTC, "15m")
    of = "(SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?)"
    case.sql(
        (f"DELETE FROM candle WHERE series_id = {of} AND ts_ms = ?", (*key, int(signal["ts_ms"]))),
        (f"DELETE FROM candle_block WHERE series_id = {of}", key),
    )
    code, table, lines, _ = case.ask()
    assert code == 0
    assert set(differences(table)) == {"missing candle"}
    mine = [line for line in lines if line.startswith(f"signal {signal['id']} ")]
    assert len(mine) == 1 and "missing candle (15m 20" in mine[0]


def test_a_candle_that_is_gone_does_not_excuse_an_altered_signal(case: Case) -> None:
    signal = a_settled_signal(case.signals)
    key = (EXCHANGE, BTC, "15m")
    of = "(SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?)"
    case.sql(
        (f"DELETE FROM candle WHERE series_id = {of} AND ts_ms = ?", (*key, int(signal["ts_ms"]))),
        (f"DELETE FROM candle_block WHERE series_id = {of}", key),
        ("UPDATE signals SET tp2 = tp2 * 1.01 WHERE id = ?", (int(signal["id"]),)),
    )
    code, table, lines, _ = case.ask()
    assert code == 1
    assert table["unexplained"].signals == 1
    assert any(line.startswith(f"signal {signal['id']} ") and "unexplained" in line for line in lines)


def test_a_minute_that_is_gone_explains_the_trade_it_stopped(case: Case) -> None:
    trades = Reader(case.database).trades(exchange=EXCHANGE, symbol=BTC, status="CLOSED")
    stopped = trades[trades["exit_reason"] == "SL"].iloc[-1]
    key = (EXCHANGE, BTC, "1m")
    of = "(SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?)"
    case.sql(
        (f"DELETE FROM candle WHERE series_id = {of} AND ts_ms = ?", (*key, int(stopped["closed_ms"]))),
        (f"DELETE FROM candle_block WHERE series_id = {of}", key),
    )
    code, table, lines, _ = case.ask()
    assert code == 0
    assert set(differences(table)) == {"missing candle"} and table["missing candle"].signals == 0
    assert any(line.startswith(f"trade {stopped['signal_id']} ") for line in lines)


def test_another_plan_is_named_and_not_recomputed(case: Case, tmp_path: Path) -> None:
    config = write_config(tmp_path, tape(signals={"rr_min": 1.3}))
    code, table, lines, _ = case.ask(config=config)
    assert code == 0
    assert differences(table) == {"other configuration": table["recorded"]._replace(trades=0)}
    assert table["come out the same"] == Counts(trades=table["recorded"].trades)
    assert all("other configuration: plan_hash" in line for line in lines)


def test_closes_of_another_plan_do_not_count_as_missed(case: Case, tmp_path: Path) -> None:
    config = write_config(tmp_path, tape(DAYS + 2, signals={"rr_min": 1.3}))
    before = len(Reader(case.database).signals())
    assert trader(config, "run") == 0
    assert len(Reader(case.database).signals()) > before
    code, table, _, _ = case.ask(config=config)
    assert code == 0
    assert differences(table) == {"other configuration": Counts(before, before, before)}
    code, table, _, _ = case.ask(config=write_config(tmp_path, tape(DAYS + 2)))
    assert code == 0
    others = len(Reader(case.database).signals()) - before
    assert differences(table) == {"other configuration": Counts(others, others, others)}


def test_sizes_come_out_under_the_risk_rules_of_their_time(case: Case, tmp_path: Path) -> None:
    config = write_config(tmp_path, tape(risk={"capital_usd": 50_000, "max_leverage": 3}))
    code, table, _, _ = case.ask(config=config)
    assert (code, differences(table)) == (0, {})


def test_trades_come_out_under_the_exit_parameters_they_began_with(case: Case, tmp_path: Path) -> None:
    config = write_config(tmp_path, tape(execution={"tp1_fraction": 0.8, "trail": {"atr_mult": 2.0}}))
    code, table, _, _ = case.ask(config=config)
    assert (code, differences(table)) == (0, {})
    assert trader(config, "retro-scan") == 0
    code, both, _, _ = case.ask(config=config)
    assert (code, differences(both)) == (0, {})
    assert both["recorded"] == table["recorded"]._replace(trades=2 * table["recorded"].trades)


def test_a_rate_that_became_known_later_explains_what_the_default_paid(case: Case) -> None:
    paid = Reader(case.database).events()
    paying = set(paid[paid["kind"] == "FUNDING"]["signal_id"]) & set(case.signals["id"])
    assert paying
    times = np.arange(paid["ts_ms"].min() // DAY_MS * DAY_MS, paid["ts_ms"].max() + DAY_MS, 8 * HOUR_MS)
    with Writer(case.database) as writer:
        writer.put_funding(EXCHANGE, BTC, np.column_stack([times, np.full(len(times), 0.0007)]))
    code, table, _, _ = case.ask()
    assert code == 0
    assert table["funding default"] == Counts(trades=len(paying))
    late = table["late settlement"]  # the rate is a feature as well
    assert set(differences(table)) == {"funding default", "late settlement"} and late == Counts(vectors=late.vectors)


def test_candidates_that_a_retro_scan_wrote_first_are_left_to_it(case: Case) -> None:
    signal = a_settled_signal(case.signals)
    case.sql(("UPDATE signals SET origin = 'retro' WHERE id = ?", (int(signal["id"]),)))
    code, table, _, _ = case.ask()
    assert (code, differences(table)) == (0, {"left to a retro scan": Counts(signals=1)})


def test_a_signal_that_was_altered_is_a_bug(case: Case) -> None:
    signal = a_settled_signal(case.signals)
    case.sql(("UPDATE signals SET sl = sl * 1.0001 WHERE id = ?", (int(signal["id"]),)))
    code, table, lines, err = case.ask()
    assert code == 1
    assert table["unexplained"].signals == 1 and set(differences(table)) == {"unexplained"}
    assert lines[0].startswith(f"signal {signal['id']} {BTC} 15m") and "unexplained: sl " in lines[0]
    assert err.startswith("error: parity: ") and err.count("\n") == 1


@pytest.mark.parametrize("column", ["leverage", "position_notional", "confidence", "atr", "decided_ms", "regime_vol"])
def test_whatever_column_of_a_signal_was_altered_it_is_found(case: Case, column: str) -> None:
    signal = a_settled_signal(case.signals)
    value = "other" if column == "regime_vol" else signal[column] + (1 if column == "decided_ms" else 0.5)
    value = value.item() if isinstance(value, np.generic) else value
    case.sql((f"UPDATE signals SET {column} = ? WHERE id = ?", (value, int(signal["id"]))))
    code, _, lines, _ = case.ask()
    assert code == 1
    assert any(line.startswith(f"signal {signal['id']} ") and column in line for line in lines)


def test_a_signal_that_should_be_there_and_is_not_is_a_bug(case: Case) -> None:
    signal = a_settled_signal(case.signals)
    number = (int(signal["id"]),)
    case.sql(
        ("PRAGMA foreign_keys = OFF", ()),
        *((f"DELETE FROM {table} WHERE signal_id = ?", number) for table in ("decisions", "trade_events", "trades")),
        ("DELETE FROM signals WHERE id = ?", number),
    )
    code, table, lines, _ = case.ask()
    assert code == 1
    found = table["unexplained"]  # its outcome is lacking among those that later candidates look at
    assert differences(table) == {"unexplained": Counts(signals=1, vectors=found.vectors)}
    assert "row absent -> present" in lines[0]


def test_a_trade_or_an_event_that_was_altered_is_a_bug(case: Case) -> None:
    closed = Reader(case.database).trades(exchange=EXCHANGE, symbol=BTC, status="CLOSED")["signal_id"]
    first, second, third = (int(number) for number in closed.head(3))
    case.sql(
        ("UPDATE trades SET pnl_pct = pnl_pct + 0.01 WHERE signal_id = ?", (first,)),
        ("UPDATE trade_events SET price = price * 1.001 WHERE signal_id = ? AND kind = 'FILL'", (second,)),
        ("DELETE FROM trade_events WHERE signal_id = ? AND seq = 0", (third,)),
    )
    code, table, lines, _ = case.ask()
    assert code == 1
    assert differences(table) == {"unexplained": Counts(trades=3)}
    told = {int(line.split()[1]): line for line in lines}
    assert (
        "pnl_pct" in told[first] and "event 0 price" in told[second] and "event 0 present -> absent" not in told[first]
    )
    assert "event 0 absent -> present" in told[third]


def test_before_anything_was_decided_live_there_is_nothing_to_compare(
    tmp_path: Path, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "new", tape())
    assert trader(config, "init-db") == 0
    assert case.ask(config=config)[0] == 0
    assert trader(config, "parity") == 0
    assert "parity: nothing was decided live yet" in capsys.readouterr().out
    assert trader(case.config, "parity", "--start", "2030-01-01") == 0
    assert "parity: nothing was decided live in this choice" in capsys.readouterr().out
