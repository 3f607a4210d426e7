"""The retro scan fills in what is missing, whatever it is cut into, and touches nothing that is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.clock import HOUR_MS, MINUTE_MS, timeframe_ms
from core.jobs import resample, retro, scan
from core.jobs._desk import Desk, Report
from tests.desks import BTC, ETH, EXCHANGE, HOUR, EveryNth, end_of, feed, minutes, open_desk, without
from tests.engine import differences, record
from tests.factories import START_MS

CANDLES = {BTC: without(minutes(30), 100, 101, 700), ETH: minutes(30, seed=9)}
END = START_MS + 30 * HOUR_MS
ALL = {"start_ms": 0, "end_ms": 2**62, "symbols": [BTC, ETH], "timeframes": ["5m", "15m"]}


def filled(folder: Path, to_ms: int = END) -> Desk:
    """Return a desk whose store holds candles and nothing decided."""
    desk = open_desk(folder, change={"symbols": [BTC, ETH]})
    for symbol, candles in CANDLES.items():
        feed(desk, candles, to_ms, symbol)
    asyncio.run(resample.run(desk, to_ms))
    return desk


def fill_in(desk: Desk, progress: Any = None, now_ms: int = END, **change: Any) -> Report:
    return asyncio.run(retro.run(desk, now_ms, retro.RetroRequest(**{**ALL, **change}), progress))


def rows_of(folder: Path) -> tuple[pd.DataFrame, ...]:
    return record(folder / "ohlcv.db")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, ...]:
    """What one undisturbed scan over everything writes."""
    folder = tmp_path_factory.mktemp("whole")
    desk = filled(folder)
    report = fill_in(desk)
    desk.writer.close()
    assert report.ok and report.counts["signals"] > 200
    return rows_of(folder)


def assert_same(one: tuple[pd.DataFrame, ...], other: tuple[pd.DataFrame, ...]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert differences(mine, theirs) == []


def test_again_it_changes_nothing(tmp_path: Path, whole: tuple[pd.DataFrame, ...]) -> None:
    desk = filled(tmp_path)
    fill_in(desk)
    assert fill_in(desk).counts["signals"] == 0
    desk.writer.close()
    assert_same(rows_of(tmp_path), whole)


@pytest.mark.parametrize(("chunk_hours", "rows"), [(4, 40), (7, 20_000)])
def test_the_length_of_a_chunk_changes_nothing(
    tmp_path: Path, whole: tuple[pd.DataFrame, ...], monkeypatch: pytest.MonkeyPatch, chunk_hours: int, rows: int
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", chunk_hours * HOUR_MS)
    monkeypatch.setattr(retro, "TRANSACTION_ROWS", rows)
    desk = filled(tmp_path)
    fill_in(desk)
    desk.writer.close()
    assert_same(rows_of(tmp_path), whole)


def test_ended_in_the_middle_and_run_again_it_gives_the_same_rows(
    tmp_path: Path, whole: tuple[pd.DataFrame, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", 6 * HOUR_MS)
    desk = filled(tmp_path)

    def stop_at(step: int) -> Any:
        def progress(done: int, total: int, symbol: str) -> None:
            if done == step * 6 * HOUR:
                raise KeyboardInterrupt

        return progress

    for step in (2, 4, 7):
        with pytest.raises(KeyboardInterrupt):
            fill_in(desk, stop_at(step))
        desk.memory.clear()
    fill_in(desk)
    desk.writer.close()
    assert_same(rows_of(tmp_path), whole)


def test_ended_between_beginning_a_trade_and_playing_it_nothing_is_lost(
    tmp_path: Path, whole: tuple[pd.DataFrame, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retro, "TRANSACTION_ROWS", 200)
    desk = filled(tmp_path)
    calls = 0
    put_events = desk.writer.put_events

    def third_fails(frame: pd.DataFrame) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        put_events(frame)

    monkeypatch.setattr(desk.writer, "put_events", third_fails)
    with pytest.raises(KeyboardInterrupt):
        fill_in(desk)
    fill_in(desk)
    desk.writer.close()
    assert_same(rows_of(tmp_path), whole)


def test_ranges_one_after_the_other_give_the_rows_of_the_whole(tmp_path: Path, whole: tuple[pd.DataFrame, ...]) -> None:
    desk = filled(tmp_path)
    cut, late = START_MS + 11 * HOUR_MS, START_MS + 23 * HOUR_MS
    for start, end in ((late, 2**62), (0, cut), (cut, late)):
        fill_in(desk, start_ms=start, end_ms=end)
    desk.writer.close()
    assert_same(rows_of(tmp_path), whole)


def test_trades_of_a_range_that_ends_early_are_played_to_the_frontier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", 4 * HOUR_MS)
    desk = filled(tmp_path)
    fill_in(desk, end_ms=START_MS + 5 * HOUR_MS)
    assert (desk.reader.signals()["decided_ms"] <= START_MS + 5 * HOUR_MS).all()
    unfinished = desk.reader.trades(status=["PENDING", "OPEN"])
    assert (unfinished["next_ms"] == END).all()
    assert len(desk.reader.trades()) > len(unfinished)
    desk.writer.close()


def test_trades_left_open_are_carried_on_by_the_next_run(tmp_path: Path, whole: tuple[pd.DataFrame, ...]) -> None:
    desk = filled(tmp_path, START_MS + 17 * HOUR_MS)
    fill_in(desk, now_ms=START_MS + 17 * HOUR_MS)
    assert len(desk.reader.trades(status=["PENDING", "OPEN"]))
    for symbol, candles in CANDLES.items():
        feed(desk, candles, END, symbol)
    asyncio.run(resample.run(desk, END))
    fill_in(desk)
    desk.writer.close()
    assert_same(rows_of(tmp_path), whole)


def test_a_stride_keeps_every_nth_candle_of_the_epochs_grid(tmp_path: Path, whole: tuple[pd.DataFrame, ...]) -> None:
    desk = filled(tmp_path)
    fill_in(desk, stride=2, start_ms=START_MS + 37 * MINUTE_MS)
    signals = desk.reader.signals()
    desk.writer.close()
    place = signals["ts_ms"] // signals["timeframe"].map(timeframe_ms)
    assert (place % 2 == 0).all()
    every = whole[0][whole[0]["decided_ms"] > START_MS + 37 * MINUTE_MS]
    kept = every[every["ts_ms"] // every["timeframe"].map(timeframe_ms) % 2 == 0]
    assert set(signals["key"]) == set(kept["key"])


def test_a_limit_keeps_the_newest_of_each_symbol_and_timeframe(
    tmp_path: Path, whole: tuple[pd.DataFrame, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", 3 * HOUR_MS)
    desk = filled(tmp_path)
    fill_in(desk, limit_per_pair=7)
    signals = desk.reader.signals()
    desk.writer.close()
    ordered = whole[0].sort_values(["decided_ms", "key"])
    assert set(signals["key"]) == set(ordered.groupby(["symbol", "timeframe"]).tail(7)["key"])


def test_a_limit_is_one_for_all_setups_and_ties_are_broken_by_key(tmp_path: Path) -> None:
    desk = filled(tmp_path)
    desk.setups = [EveryNth(), EveryNth(name="twin")]  # both decide the same closes
    fill_in(desk, limit_per_pair=5)
    kept = desk.reader.signals()
    fill_in(desk)
    every = desk.reader.signals().sort_values(["decided_ms", "key"])
    desk.writer.close()
    assert set(kept["key"]) == set(every.groupby(["symbol", "timeframe"]).tail(5)["key"]) and len(kept) == 20


def test_symbols_and_timeframes_not_asked_for_are_left_out(tmp_path: Path) -> None:
    desk = filled(tmp_path)
    fill_in(desk, symbols=[ETH], timeframes=["15m"])
    signals = desk.reader.signals()
    desk.writer.close()
    assert set(signals["symbol"]) == {ETH} and set(signals["timeframe"]) == {"15m"}


def test_a_new_policy_plays_what_is_there_from_the_rows_on_record(tmp_path: Path) -> None:
    desk = filled(tmp_path)
    fill_in(desk)
    before = desk.reader.signals()
    desk.rules = type(desk.rules)(usd_per_trade=50.0)
    desk.memory.clear()
    assert fill_in(desk).counts["trades"] >= len(before)
    trades, events = desk.reader.trades(), desk.reader.events()
    pd.testing.assert_frame_equal(desk.reader.signals(), before)
    desk.writer.close()
    old, new = (trades[trades["exit_policy"] == name].reset_index(drop=True) for name in trades["exit_policy"].unique())
    assert len(old) == len(new) == len(before) and not old["pnl_usd"].equals(new["pnl_usd"])
    assert old.drop(columns=["exit_policy", "pnl_usd", "taken", "blocked_by"]).equals(
        new.drop(columns=["exit_policy", "pnl_usd", "taken", "blocked_by"])
    )
    assert events.groupby("exit_policy").size().nunique() == 1


def test_trades_under_a_new_policy_are_begun_only_for_the_timeframes_asked_for(tmp_path: Path) -> None:
    desk = filled(tmp_path)
    fill_in(desk)
    desk.rules = type(desk.rules)(usd_per_trade=50.0)
    desk.memory.clear()
    fill_in(desk, timeframes=["15m"])
    counts = desk.reader.trades(timeframe="5m")["exit_policy"].nunique()
    both = desk.reader.trades(timeframe="15m").groupby("signal_id")["exit_policy"].nunique()
    desk.writer.close()
    assert counts == 1 and (both == 2).all()


@pytest.mark.parametrize("span", [(END, 2**62), (0, START_MS)])
def test_a_range_without_candles_is_told_and_writes_nothing(tmp_path: Path, span: tuple[int, int]) -> None:
    desk = filled(tmp_path)
    report = fill_in(desk, start_ms=span[0], end_ms=span[1])
    assert not report.ok and report.problems == tuple(f"{name}: no candles in this range" for name in (BTC, ETH))
    assert desk.reader.signals().empty
    desk.writer.close()


def test_a_store_without_candles_is_told(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    assert fill_in(desk, symbols=[BTC]).problems == (f"{BTC}: no candles in this range",)
    desk.writer.close()


def test_live_rows_keep_their_origin_and_verdict(tmp_path: Path) -> None:
    desk = filled(tmp_path, START_MS + 20 * HOUR_MS)
    asyncio.run(scan.run(desk, START_MS + 20 * HOUR_MS))
    for symbol, candles in CANDLES.items():
        feed(desk, candles, END, symbol)
    asyncio.run(resample.run(desk, END))
    asyncio.run(scan.run(desk, END))
    before = desk.reader.signals(origin="live")
    desk.memory["models"] = None
    fill_in(desk)
    after = desk.reader.signals(origin="live")
    trades = desk.reader.trades(signal_ids=after["id"].tolist())
    origins = desk.reader.signals()["origin"].value_counts()
    desk.writer.close()
    pd.testing.assert_frame_equal(before, after)
    assert len(trades) == len(after) and origins["live"] > 20 and origins["retro"] > 20


def test_nothing_is_announced(tmp_path: Path) -> None:
    desk = filled(tmp_path)
    desk.notifiers["console"] = None  # type: ignore[assignment]
    fill_in(desk)
    assert desk.reader.outbox().empty and (desk.reader.signals()["origin"] == "retro").all()
    assert desk.reader.scanned(EXCHANGE, BTC, "5m") is None
    desk.writer.close()


def test_progress_counts_the_minutes_of_every_symbol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", 12 * HOUR_MS)
    desk = filled(tmp_path)
    told: list[tuple[int, int, str]] = []
    fill_in(desk, lambda *step: told.append(step))
    desk.writer.close()
    assert told == [(k * 12 * HOUR, 60 * HOUR, BTC if k <= 2.5 else ETH) for k in (1, 2, 2.5, 3.5, 4.5, 5)]
    assert end_of(CANDLES[BTC]) == END
