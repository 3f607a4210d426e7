"""A symbol that its exchange ends: what is held leaves at the last close, live as in a retro scan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.adapters.markets.replay import ReplayMarket, Tape
from core.checks._parity_trades import check_trades
from core.clock import HOUR_MS, MINUTE_MS
from core.errors import UnknownSymbol
from core.jobs import cycle, execute, resample, retro
from core.jobs._desk import Desk
from core.results.explain import Moment, event_words
from core.schema import Candles, FloatArray, Instrument
from tests.desks import BTC, ETH, EXCHANGE, EveryNth, end_of, feed, minutes, open_desk
from tests.engine import differences, record
from tests.factories import START_MS

SYMBOLS = {"symbols": [BTC, ETH]}
WIDE = {
    "risk": {
        "limits": {
            "max_open": 1000,
            "max_open_per_symbol": 1000,
            "cooldown_candles": 0,
            "stop_guard": {"stops": 1000},
            "max_daily_loss_pct": 100,
        }
    }
}
LIVED_MINUTES = 4 * 60 + 16  # a minute after a close: what was decided there waits
SETUPS = [EveryNth(1, stop_pct=1.0)]
TAPES = {BTC: minutes(6), ETH: minutes(6, seed=8).slice(0, LIVED_MINUTES)}
END_MS = START_MS + LIVED_MINUTES * MINUTE_MS


class EndingMarket(ReplayMarket):
    """Lists a symbol until its tape ends, and does not know it any more from then on."""

    def __init__(self, candles: Mapping[str, Candles], step_min: int = 1, **settings: Any) -> None:
        instruments = {symbol: Instrument(EXCHANGE, symbol, 0.01, 0.001, 5.0) for symbol in candles}
        super().__init__(Tape.of(dict(candles), instruments), EXCHANGE, step_ms=step_min * MINUTE_MS, **settings)
        self.ends = {symbol: end_of(one) for symbol, one in candles.items()}
        self.last_ms = max(self.ends.values())

    def has_ended(self, symbol: str) -> bool:
        return self.ends[symbol] < min(self.now_ms(), self.last_ms)

    async def load_markets(self) -> dict[str, Instrument]:
        listed = await super().load_markets()
        return {symbol: one for symbol, one in listed.items() if not self.has_ended(symbol)}

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> FloatArray:
        if self.has_ended(symbol):
            raise UnknownSymbol(f"{symbol}: not traded there")
        return await super().fetch_ohlcv(symbol, timeframe, since_ms, limit)


class Silent:
    """A messenger nobody needs to hear."""

    name = "console"


def play_through(desk: Desk, to_ms: int = 2**62) -> None:
    async def work() -> None:
        while (now_ms := await desk.market.advance()) is not None and now_ms <= to_ms:
            await cycle.run(desk, now_ms)

    asyncio.run(work())


def scanned_in_retrospect(folder: Path, live: Desk, change: dict[str, Any], jobs: int = 1) -> Desk:
    """Copy the candles and what is known of the symbols to a new database, and scan them there."""
    again = open_desk(folder, change={**SYMBOLS, **change}, setups=SETUPS)
    again.writer.put_instruments(list(live.reader.instruments(EXCHANGE).values()))
    for symbol in (BTC, ETH):
        candles = live.reader.candles(EXCHANGE, symbol, "1m")
        feed(again, candles, live.reader.frontier(EXCHANGE, symbol, "1m") or 0, symbol)
    asyncio.run(resample.run(again, 0))
    for row in live.reader.symbols_off(EXCHANGE).to_dict("records"):
        again.writer.set_symbol_off(EXCHANGE, row["symbol"], row["reason"], row["since_ms"])
        again.symbols = [symbol for symbol in again.symbols if symbol != row["symbol"]]
    first_ms = int(live.reader.signals()["decided_ms"].min()) - 1
    request = retro.RetroRequest(first_ms, 2**62, [BTC, ETH], ["5m", "15m"], jobs=jobs)
    asyncio.run(retro.run(again, end_of(TAPES[BTC]), request))
    return again


@pytest.fixture(scope="module", params=[1, 5])
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which a symbol has lived and ended; steps of a minute and of five."""
    folder = tmp_path_factory.mktemp(f"ended{request.param}")
    desk = open_desk(folder, EndingMarket(TAPES, request.param), {**SYMBOLS, **WIDE}, SETUPS)
    desk.notifiers["console"] = Silent()  # type: ignore[assignment]
    play_through(desk)
    desk.writer.close()
    return folder


@pytest.fixture
def live(played: Path) -> Any:
    desk = open_desk(played, change={**SYMBOLS, **WIDE}, setups=SETUPS)
    yield desk
    desk.writer.close()


def trades_of(desk: Desk, symbol: str) -> pd.DataFrame:
    signals = desk.reader.signals(exchange=EXCHANGE)
    ids = signals.loc[signals["symbol"] == symbol, "id"]
    trades = desk.reader.trades(exchange=EXCHANGE)
    return trades[trades["signal_id"].isin(ids)].reset_index(drop=True)


def test_nothing_of_an_ended_symbol_stays_open_and_the_others_go_on(live: Desk) -> None:
    off = live.reader.symbols_off(EXCHANGE)
    assert off[["symbol", "reason"]].values.tolist() == [[ETH, "delisted"]]
    assert 30 * MINUTE_MS <= int(off["since_ms"].item()) - END_MS <= 60 * MINUTE_MS
    trades = trades_of(live, ETH)
    assert not trades["status"].isin(["PENDING", "OPEN"]).any()
    assert live.reader.frontier(EXCHANGE, BTC, "1m") == end_of(TAPES[BTC])
    assert trades_of(live, BTC)["status"].isin(["PENDING", "OPEN"]).any()


def test_what_was_held_left_at_the_last_close_and_what_waited_was_cancelled(live: Desk) -> None:
    trades = trades_of(live, ETH)
    ended = trades[trades["exit_reason"] == "DELISTED"]
    held, waiting = ended[ended["status"] == "CLOSED"], ended[ended["status"] == "CANCELLED"]
    assert len(held) >= 2 and len(waiting) >= 1
    reached_ms = live.reader.frontier(EXCHANGE, ETH, "1m")
    assert reached_ms is not None and END_MS - 5 * MINUTE_MS < reached_ms <= END_MS
    last = live.reader.candles(EXCHANGE, ETH, "1m").close[-1]
    assert np.allclose(held["exit_price"], last, rtol=1e-3)  # after slippage
    assert (held["closed_ms"] == reached_ms - MINUTE_MS).all() and (held["known_ms"] == reached_ms).all()
    assert (waiting["pnl_pct"] == 0.0).all()


def test_a_retro_scan_of_the_same_candles_writes_the_same_rows(live: Desk, played: Path, tmp_path: Path) -> None:
    again = scanned_in_retrospect(tmp_path, live, WIDE)
    again.writer.close()
    compared = list(zip(record(played / "ohlcv.db"), record(tmp_path / "ohlcv.db"), strict=True))
    for one, other in compared:
        assert differences(one, other) == []
    assert len(compared[0][0]) > 100


def test_a_retro_scan_on_the_live_database_changes_nothing(played: Path, tmp_path: Path) -> None:
    before = record(played / "ohlcv.db")
    desk = open_desk(played, change={**SYMBOLS, **WIDE}, setups=SETUPS)
    desk.symbols = [BTC]
    first_ms = int(desk.reader.signals()["decided_ms"].min()) - 1
    request = retro.RetroRequest(first_ms, 2**62, [BTC, ETH], ["5m", "15m"], jobs=1)
    report = asyncio.run(retro.run(desk, end_of(TAPES[BTC]), request))
    desk.writer.close()
    assert report.counts["signals"] == 0
    for one, other in zip(before, record(played / "ohlcv.db"), strict=True):
        assert differences(one, other) == []


def test_what_the_account_takes_beside_an_ended_symbol_is_that_of_a_retro_scan(tmp_path: Path) -> None:
    desk = open_desk(tmp_path / "live", EndingMarket(TAPES, 5), SYMBOLS, SETUPS)
    play_through(desk)
    again = scanned_in_retrospect(tmp_path / "retro", desk, {})
    desk.writer.close()
    again.writer.close()
    for one, other in zip(record(tmp_path / "live" / "ohlcv.db"), record(tmp_path / "retro" / "ohlcv.db"), strict=True):
        assert differences(one, other) == []


def test_those_who_were_told_of_a_trade_are_told_of_its_end_in_words(live: Desk) -> None:
    told = live.reader.outbox()
    events = [json.loads(text) for text in told.loc[told["kind"] == "trade_event", "payload"]]
    assert sum(event["event"] == "DELISTED" for event in events) >= 3
    assert sum(f"Symbol {ETH} is switched off" in text for text in told["payload"]) == 1
    trades = trades_of(live, ETH)
    signals = live.reader.signals().set_index("id", drop=False)
    said = {}
    for trade in trades[trades["exit_reason"] == "DELISTED"].to_dict("records"):
        happened = live.reader.events([trade["signal_id"]], trade["exit_policy"])
        event = happened[happened["kind"] == "DELISTED"].to_dict("records")[0]
        moment = Moment(END_MS, late_after_ms=10 * HOUR_MS)
        said[trade["status"]] = event_words(event, trade, signals.loc[trade["signal_id"]].to_dict(), moment)
    assert "closed" in said["CLOSED"] and "the exchange ended the symbol" in said["CLOSED"]
    assert "cancelled" in said["CANCELLED"] and "Remove your order" in said["CANCELLED"]
    assert "nan" not in said["CANCELLED"]


def test_parity_finds_nothing_to_explain(live: Desk) -> None:
    signals = live.reader.signals(exchange=EXCHANGE, symbol=ETH)
    compared, findings = check_trades(live.reader, EXCHANGE, ETH, "1m", signals, np.full(len(signals), 0.01))
    assert findings == [] and compared == len(signals) > 50


def test_a_symbol_paused_by_hand_keeps_its_trades_open(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, EndingMarket(TAPES, 5), {**SYMBOLS, **WIDE}, SETUPS)
    play_through(desk, START_MS + 3 * HOUR_MS)
    before = trades_of(desk, ETH)
    assert before["status"].isin(["PENDING", "OPEN"]).any()
    desk.writer.set_symbol_off(EXCHANGE, ETH, "paused by hand", START_MS + 3 * HOUR_MS)
    desk.symbols = [BTC]
    play_through(desk)
    after = trades_of(desk, ETH)
    desk.writer.close()
    assert not (after["exit_reason"] == "DELISTED").any()
    assert after["status"].isin(["PENDING", "OPEN"]).sum() == before["status"].isin(["PENDING", "OPEN"]).sum()


def test_resuming_takes_the_symbol_up_again_and_leaves_what_ended_as_it_is(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, EndingMarket(TAPES, 5), {**SYMBOLS, **WIDE}, SETUPS)
    play_through(desk)
    ended = trades_of(desk, ETH)
    desk.writer.clear_symbol_off(EXCHANGE, ETH)
    desk.symbols = [BTC, ETH]
    asyncio.run(execute.run(desk, end_of(TAPES[BTC])))
    feed(desk, minutes(6, seed=8), end_of(TAPES[BTC]), ETH, END_MS)
    asyncio.run(execute.run(desk, end_of(TAPES[BTC])))
    after = trades_of(desk, ETH)
    desk.writer.close()
    pd.testing.assert_frame_equal(after, ended)


def test_a_run_that_is_stopped_before_the_trades_are_ended_ends_them_after_the_next_start(tmp_path: Path) -> None:
    desk = open_desk(tmp_path, EndingMarket(TAPES, 5), {**SYMBOLS, **WIDE}, SETUPS)
    play_through(desk, END_MS)
    desk.writer.set_symbol_off(EXCHANGE, ETH, "delisted", END_MS)
    desk.writer.close()
    again = open_desk(tmp_path, change={**SYMBOLS, **WIDE}, setups=SETUPS)
    again.symbols = [BTC]
    assert trades_of(again, ETH)["status"].isin(["PENDING", "OPEN"]).any()
    report = asyncio.run(execute.run(again, END_MS + HOUR_MS))
    assert report.counts["finished"] > 2
    assert not trades_of(again, ETH)["status"].isin(["PENDING", "OPEN"]).any()
    assert asyncio.run(execute.run(again, END_MS + 2 * HOUR_MS)).counts.get("finished", 0) == 0
    again.writer.close()
