"""Deciding closes and moving trades on: once, in order, whole or not at all, and the same in any steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core import app
from core.clock import HOUR_MS, MINUTE_MS
from core.jobs import execute, resample, retro, scan
from core.jobs._desk import Desk, Report
from core.ports import Message
from tests.desks import BTC, ETH, EXCHANGE, EveryNth, configured, end_of, feed, minutes, open_desk, play, tape_market
from tests.engine import differences, record
from tests.factories import START_MS

CANDLES = minutes(24)
TAPE = minutes(12)
WIDE_LIMITS = {
    "max_open": 1000,
    "max_open_per_symbol": 1000,
    "cooldown_candles": 0,
    "stop_guard": {"stops": 1000},
    "max_daily_loss_pct": 100,
}


class Silent:
    """A messenger nobody needs to hear."""

    name = "console"

    async def send(self, message: Message) -> str:
        return "1"

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = open_desk(tmp_path, change={"risk": {"limits": WIDE_LIMITS}})
    opened.notifiers["console"] = Silent()  # type: ignore[assignment]
    yield opened
    opened.writer.close()


def step(desk: Desk, to_ms: int, now_ms: int | None = None) -> Report:
    """Bring a desk to a frontier: store, resample, execute, scan; return what the scan says."""
    feed(desk, CANDLES, to_ms)
    now = to_ms if now_ms is None else now_ms
    asyncio.run(resample.run(desk, now))
    asyncio.run(execute.run(desk, now))
    return asyncio.run(scan.run(desk, now))


def at(hours: float) -> int:
    return START_MS + int(hours * HOUR_MS)


def test_a_first_start_decides_only_the_newest_close(desk: Desk) -> None:
    assert step(desk, at(10)).counts["closes"] == 2
    signals = desk.reader.signals()
    assert (signals["decided_ms"] == at(10)).all()


def test_a_first_start_waits_while_the_history_is_still_being_fetched(desk: Desk) -> None:
    assert step(desk, at(10), now_ms=at(20)).counts.get("closes", 0) == 0
    assert desk.reader.scanned(EXCHANGE, BTC, "5m") is None and desk.reader.signals().empty
    step(desk, at(20))
    assert (desk.reader.signals()["decided_ms"] == at(20)).all()


def test_each_close_is_decided_once(desk: Desk) -> None:
    step(desk, at(10))
    assert step(desk, at(11)).counts["closes"] == 12 + 4
    before = desk.reader.signals()
    assert step(desk, at(11)).counts.get("closes", 0) == 0
    desk.memory.clear()
    step(desk, at(11), now_ms=at(12))
    pd.testing.assert_frame_equal(desk.reader.signals(), before)


def test_a_stale_series_waits_and_writes_nothing(desk: Desk) -> None:
    step(desk, at(10))
    before = desk.reader.signals(), desk.reader.scanned(EXCHANGE, BTC, "5m")
    assert step(desk, at(10), now_ms=at(14)).counts.get("closes", 0) == 0
    pd.testing.assert_frame_equal(desk.reader.signals(), before[0])
    assert desk.reader.scanned(EXCHANGE, BTC, "5m") == before[1]


def test_several_closes_in_one_cycle_give_the_rows_of_one_after_the_other(tmp_path: Path) -> None:
    records = []
    for name, stops in (("one", [10 + k / 4 for k in range(1, 21)]), ("many", [13.25, 13.5, 15])):
        desk = open_desk(tmp_path / name)
        for hours in [10, *stops]:
            step(desk, at(hours))
        desk.writer.close()
        records.append(record(tmp_path / name / "ohlcv.db"))
    for one, other in zip(*records, strict=True):
        assert len(one) > 15
        assert differences(one, other) == []


def test_a_close_is_stamped_with_its_own_time_however_late_it_is_decided(desk: Desk) -> None:
    step(desk, at(10))
    step(desk, at(16), now_ms=at(16))
    decided = desk.reader.signals(timeframe="5m")["decided_ms"]
    assert decided.tolist() == [at(10 + 1 / 12 + k / 4) for k in range(24)]


def test_alerts_of_late_signals_are_left_out_and_those_of_fresh_ones_queued(desk: Desk) -> None:
    step(desk, at(10))
    desk.writer.queue([])
    step(desk, at(14))
    late = desk.config.notify.late_minutes * MINUTE_MS
    queued = desk.reader.outbox()
    told = set(queued.loc[queued["kind"] == "new_signal", "signal_id"])
    signals = desk.reader.signals()
    fresh = signals["decided_ms"].isin([at(10)]) | (signals["decided_ms"] >= at(14) - late)
    assert told == set(signals.loc[fresh, "id"]) and 0 < len(told) < len(signals)


def test_a_signal_and_its_alert_are_written_together_or_not_at_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class PowerCut(BaseException):
        pass

    def cut(*_: Any) -> None:
        raise PowerCut

    step(desk, at(10))
    counts = len(desk.reader.signals()), len(desk.reader.outbox()), len(desk.reader.trades())
    for method in ("put_decisions", "put_trades", "put_events", "queue", "note_many_live"):
        with monkeypatch.context() as patch:
            patch.setattr(desk.writer, method, cut)
            feed(desk, CANDLES, at(10.25))
            asyncio.run(resample.run(desk, at(10.25)))
            with pytest.raises(PowerCut):
                asyncio.run(scan.run(desk, at(10.25)))
        assert (len(desk.reader.signals()), len(desk.reader.outbox()), len(desk.reader.trades())) == counts
        assert desk.reader.decisions().shape[0] == counts[0]
    assert step(desk, at(10.25)).counts["signals"] > 0
    assert len(desk.reader.outbox()) > counts[1]


def test_what_happened_to_a_trade_and_its_alert_are_written_together_or_not_at_all(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    step(desk, at(10))
    feed(desk, CANDLES, at(12))
    before = desk.reader.trades(), desk.reader.events()

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(desk.writer, "queue", cut)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(execute.run(desk, at(12)))
    pd.testing.assert_frame_equal(desk.reader.trades(), before[0])
    pd.testing.assert_frame_equal(desk.reader.events(), before[1])
    assert asyncio.run(execute.run(desk, at(12))).counts["moved"] > 0
    assert len(desk.reader.events()) > len(before[1])


def test_the_parameters_of_a_trade_are_recorded_though_the_first_attempt_to_begin_it_failed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    feed(desk, CANDLES, at(10))
    asyncio.run(resample.run(desk, at(10)))
    with monkeypatch.context() as patch:
        patch.setattr(desk.writer, "note_many_live", cut)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(scan.run(desk, at(10)))
    step(desk, at(10))
    assert set(desk.reader.trades()["exit_policy"]) == set(desk.reader.exit_policies())


def test_without_a_setup_closes_pass_and_nothing_is_found(desk: Desk) -> None:
    desk.setups = []
    assert step(desk, at(10)).counts == {"closes": 0, "signals": 0}
    assert desk.reader.scanned(EXCHANGE, BTC, "5m") == at(10)


def test_two_setups_decide_the_same_closes_side_by_side(desk: Desk) -> None:
    desk.setups = [EveryNth(), EveryNth(every=2, name="every_second")]
    step(desk, at(10))
    assert step(desk, at(11)).counts["closes"] == 16
    assert set(desk.reader.signals()["setup"]) == {"every_nth", "every_second"}


def changed_exits(desk: Desk, folder: Path) -> Desk:
    """Return the desk of the same database after its exit parameters were changed, as a new start has it."""
    config = configured(folder, {"execution": {"exit_policy": "fixed_r"}})
    desk.config, desk.exit_policy, desk.memory = config, app.build_exit_policy(config), {}
    return desk


def test_a_trade_goes_on_under_the_parameters_it_began_with_and_retro_fills_in_the_new_ones(tmp_path: Path) -> None:
    plain = open_desk(tmp_path / "plain")
    step(plain, at(10))
    for hours in (12, 20):
        step(plain, at(hours))
    plain.writer.close()

    desk = open_desk(tmp_path / "changed")
    step(desk, at(10))
    step(desk, at(12))
    first = set(desk.reader.trades()["exit_policy"])
    open_before = desk.reader.trades(status=["PENDING", "OPEN"])
    assert len(open_before)
    changed_exits(desk, tmp_path / "changed")
    step(desk, at(20))
    asyncio.run(retro.run(desk, at(20), retro.RetroRequest(0, at(20), [BTC], ["5m", "15m"])))
    trades = desk.reader.trades()
    desk.writer.close()

    assert len(first) == 1 and trades["exit_policy"].nunique() == 2
    before_change = set(open_before["signal_id"])
    beside = trades[trades["signal_id"].isin(before_change)].groupby("signal_id")["exit_policy"].nunique()
    assert (beside == 2).all()
    old = "exit_policy in @first and decided_ms <= @limit"
    limit = at(12)
    compared = []
    for folder in ("plain", "changed"):
        signals, rows, _ = record(tmp_path / folder / "ohlcv.db")
        rows = rows.merge(signals[["key", "decided_ms", "origin"]], on="key").query("origin == 'live'")
        compared.append(rows.query(old, local_dict={"first": list(first), "limit": limit}).reset_index(drop=True))
    assert len(compared[0]) > 5
    assert differences(compared[0], compared[1]) == []


def test_trades_of_a_symbol_that_is_followed_no_more_go_on_to_its_frontier(desk: Desk) -> None:
    step(desk, at(10))
    step(desk, at(11))
    desk.symbols = [ETH]
    step(desk, at(13))
    assert (desk.reader.trades(status=["PENDING", "OPEN"])["next_ms"] == at(13)).all()


@pytest.mark.parametrize("step_min", [30, 60])
def test_the_whole_cycle_on_a_tape_gives_the_rows_of_a_retro_scan(tmp_path: Path, step_min: int) -> None:
    live = open_desk(tmp_path / "live", tape_market({BTC: TAPE}, step_min))
    play(live)
    frontier = live.reader.frontier(EXCHANGE, BTC, "1m")
    first_ms = int(live.reader.signals()["decided_ms"].min()) - 1
    again = open_desk(tmp_path / "retro")
    again.writer.put_instruments(list(live.reader.instruments(EXCHANGE).values()))
    feed(again, TAPE, end_of(TAPE))
    asyncio.run(resample.run(again, 0))
    asyncio.run(retro.run(again, 0, retro.RetroRequest(first_ms, 2**62, [BTC], ["5m", "15m"])))
    for one in (live, again):
        one.writer.close()
    assert frontier == end_of(TAPE)
    signals = []
    for one, other in zip(record(tmp_path / "live" / "ohlcv.db"), record(tmp_path / "retro" / "ohlcv.db"), strict=True):
        signals.append(len(one))
        assert differences(one, other) == []
    assert signals[0] > 40
