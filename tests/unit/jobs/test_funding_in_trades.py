"""A perpetual with recorded settlements: played as far as they are known, and no more than ten minutes behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.jobs import cycle, resample, retro
from core.jobs._book import instrument_of, playable_to
from core.jobs._desk import Desk
from core.schema import Instrument
from tests.desks import BTC, EXCHANGE, EveryNth, end_of, feed, minutes, open_desk, play, tape_market
from tests.engine import differences, record
from tests.factories import START_MS

CANDLES = minutes(19)
SETTLED = START_MS + np.array([0, 8, 16]) * HOUR_MS
RATES = np.column_stack([SETTLED, [0.0001, -0.0003, 0.0005]])
WIDE = [EveryNth(every=4, stop_pct=3.0)]  # positions that live long enough to pay


def desk_on_tape(folder: Path, rates: np.ndarray, step_min: int = 15) -> Desk:
    return open_desk(folder, tape_market({BTC: CANDLES}, step_min, {BTC: rates}), setups=WIDE)


async def play_to(desk: Desk, to_ms: int) -> None:
    while desk.market.now_ms() < to_ms:
        now_ms = await desk.market.advance()
        assert now_ms is not None
        await cycle.run(desk, now_ms)


@pytest.mark.parametrize("hours", [0, -4], ids=["at 00, 08 and 16", "at 04, 12 and 20"])
def test_live_equals_retro_with_recorded_rates(tmp_path: Path, hours: int) -> None:
    live = desk_on_tape(tmp_path / "live", np.add(RATES, [hours * HOUR_MS, 0.0]), step_min=30)
    play(live)
    first_ms = int(live.reader.signals()["decided_ms"].min()) - 1
    again = open_desk(tmp_path / "retro", setups=WIDE)
    again.writer.put_instruments(list(live.reader.instruments(EXCHANGE).values()))
    again.writer.put_funding(EXCHANGE, BTC, live.reader.funding(EXCHANGE, BTC))
    feed(again, CANDLES, end_of(CANDLES))
    asyncio.run(resample.run(again, 0))
    asyncio.run(retro.run(again, end_of(CANDLES), retro.RetroRequest(first_ms, 2**62, [BTC], ["5m", "15m"])))
    for desk in (live, again):
        desk.writer.close()
    one, other = record(tmp_path / "live" / "ohlcv.db"), record(tmp_path / "retro" / "ohlcv.db")
    for mine, theirs in zip(one, other, strict=True):
        assert differences(mine, theirs) == []
    paid = one[2][one[2]["kind"] == "FUNDING"]
    assert set(paid["source"]) == {"recorded"} and set(paid["rate_pct"]) == {-0.03, 0.05}


def test_candles_go_on_but_trades_wait_for_a_settlement_that_is_not_out_yet(tmp_path: Path) -> None:
    late = RATES.copy()
    late[1, 0] += 6 * MINUTE_MS  # published six minutes late
    due = int(SETTLED[1])
    desk = desk_on_tape(tmp_path, late, step_min=1)
    desk.market._now_ms = due - 30 * MINUTE_MS  # type: ignore[attr-defined]
    asyncio.run(play_to(desk, due + 4 * MINUTE_MS))
    unfinished = desk.reader.trades(status=["PENDING", "OPEN"])
    assert desk.reader.frontier(EXCHANGE, BTC, "1m") == due + 4 * MINUTE_MS
    assert len(unfinished) and (unfinished["next_ms"] <= due).all()
    asyncio.run(play_to(desk, due + 8 * MINUTE_MS))
    assert (desk.reader.trades(status=["PENDING", "OPEN"])["next_ms"] > due).all()
    desk.writer.close()


def test_a_settlement_that_never_comes_is_waited_for_ten_minutes_and_then_takes_the_default(tmp_path: Path) -> None:
    due = int(SETTLED[1])
    desk = desk_on_tape(tmp_path, RATES[:1], step_min=1)
    desk.market._now_ms = due - 60 * MINUTE_MS  # type: ignore[attr-defined]
    asyncio.run(play_to(desk, due + 9 * MINUTE_MS))
    begun_before = desk.reader.signals(end_ms=due)["id"].tolist()
    assert (desk.reader.trades(signal_ids=begun_before, status=["PENDING", "OPEN"])["next_ms"] <= due).all()
    asyncio.run(play_to(desk, due + 11 * MINUTE_MS))
    open_trades = desk.reader.trades(status="OPEN")
    assert len(open_trades) and (open_trades["next_ms"] > due).all()
    paid = desk.reader.events()
    paid = paid[paid["kind"] == "FUNDING"]
    assert len(paid) and set(paid["source"]) == {"default"}
    assert set(paid["rate_pct"]) == {desk.costs.funding_rate_pct}
    desk.writer.close()


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT-260327"])
def test_what_pays_no_funding_is_played_to_its_candles(tmp_path: Path, symbol: str) -> None:
    desk = open_desk(tmp_path)
    feed(desk, CANDLES, START_MS + 9 * HOUR_MS, symbol)
    desk.writer.put_funding(EXCHANGE, symbol, RATES[:1])
    assert playable_to(desk, symbol, START_MS + 9 * HOUR_MS) == START_MS + 9 * HOUR_MS
    desk.writer.close()


def test_an_instrument_that_was_unknown_is_looked_up_again(tmp_path: Path) -> None:
    desk = open_desk(tmp_path)
    assert instrument_of(desk, BTC).tick is None
    desk.writer.put_instruments([Instrument(EXCHANGE, BTC, 0.1, 0.001, 5.0)])
    assert instrument_of(desk, BTC).tick == 0.1
    desk.writer.close()
