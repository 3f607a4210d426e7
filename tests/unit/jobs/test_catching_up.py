"""After hours offline every close is decided in order, as if nothing had happened; only the alerts are left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.jobs import cycle
from core.jobs._desk import Desk
from tests.desks import BTC, ETH, EXCHANGE, EveryNth, end_of, minutes, open_desk, tape_market
from tests.engine import differences, record
from tests.factories import START_MS

LIMITS = {
    "max_open": 1000,
    "max_open_per_symbol": 1000,
    "cooldown_candles": 0,
    "stop_guard": {"stops": 1000},
    "max_daily_loss_pct": 100,
}
TAPES = {BTC: minutes(9), ETH: minutes(9, seed=8)}
OFFLINE_FROM_MS = START_MS + 2 * HOUR_MS
OFFLINE_TO_MS = OFFLINE_FROM_MS + 5 * HOUR_MS


class Silent:
    """A messenger nobody needs to hear."""

    name = "console"


def run_on(folder: Path, is_cut_off: bool, is_restarted: bool = False) -> Desk:
    """Play the tapes; where cut off, no cycle runs for five hours. Return the desk, to be closed."""
    change = {"symbols": [BTC, ETH], "backfill": {"batch_limit": 60}, "risk": {"limits": LIMITS}}
    market = tape_market(TAPES, 1)
    desk = open_desk(folder, market, change, [EveryNth()])
    desk.notifiers["console"] = Silent()  # type: ignore[assignment]

    async def work() -> None:
        nonlocal desk
        while (now_ms := await market.advance()) is not None:
            if is_cut_off and OFFLINE_FROM_MS < now_ms < OFFLINE_TO_MS:
                continue
            if is_restarted and now_ms == OFFLINE_TO_MS:
                desk.writer.close()
                desk = open_desk(folder, market, change, [EveryNth()])
                desk.notifiers["console"] = Silent()  # type: ignore[assignment]
            for report in await cycle.run(desk, now_ms):
                assert report.ok, str(report)
            if now_ms == OFFLINE_TO_MS:
                for symbol in (BTC, ETH):
                    assert desk.reader.frontier(EXCHANGE, symbol, "1m") == now_ms

    asyncio.run(work())
    return desk


def announced(desk: Desk) -> pd.DataFrame:
    """Return the signals that were announced as new, with the time it was queued."""
    queued = desk.reader.outbox()
    queued = queued[queued["kind"] == "new_signal"]
    signals = desk.reader.signals().set_index("id")
    return pd.DataFrame(
        {
            "decided_ms": signals.loc[queued["signal_id"], "decided_ms"].to_numpy(),
            "queued_ms": queued["created_ms"].to_numpy(),
        }
    )


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("steady")
    desk = run_on(folder, False)
    told = announced(desk)
    desk.writer.close()
    return folder, told


@pytest.mark.parametrize("is_restarted", [False, True], ids=["the line was cut", "the machine was off"])
def test_five_hours_offline_are_caught_up_in_one_cycle_with_the_rows_of_a_steady_run(
    is_restarted: bool, steady: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder, told = steady
    desk = run_on(tmp_path, True, is_restarted)
    heard = announced(desk)
    desk.writer.close()
    compared = list(zip(record(folder / "ohlcv.db"), record(tmp_path / "ohlcv.db"), strict=True))
    for one, other in compared:
        assert differences(one, other) == []
    signals = compared[0][0]
    missed = signals["decided_ms"].between(OFFLINE_FROM_MS, OFFLINE_TO_MS, inclusive="neither")
    assert missed.sum() > 30

    late_ms = 10 * MINUTE_MS  # the shipped notify.late_minutes
    assert (heard["queued_ms"] - heard["decided_ms"] <= late_ms).all()
    while_away = told["decided_ms"].between(OFFLINE_FROM_MS, OFFLINE_TO_MS - late_ms, inclusive="neither")
    assert while_away.sum() > 5
    expected = np.sort(told.loc[~while_away, "decided_ms"])
    assert np.array_equal(np.sort(heard["decided_ms"]), expected)


def test_closes_that_were_missed_are_decided_in_order(steady: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    desk = run_on(tmp_path, True)
    signals = desk.reader.signals().sort_values("id")
    desk.writer.close()
    for _, part in signals.groupby(["symbol", "timeframe"]):
        assert part["decided_ms"].is_monotonic_increasing
    assert end_of(TAPES[BTC]) - int(signals["decided_ms"].max()) < 30 * MINUTE_MS
