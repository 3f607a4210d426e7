"""A desk for tests of jobs: a real store, the shipped configuration, and a setup whose candidates can be foreseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import app
from core.adapters.markets.replay import ReplayMarket, Tape
from core.clock import MINUTE_MS, timeframe_ms
from core.config import Config, load_config
from core.jobs import cycle
from core.jobs._desk import Desk
from core.ports import Market
from core.schema import CANDIDATES, Candles, Instrument, conform, empty_frame
from core.store.writer import Writer
from tests.engine import write_config
from tests.factories import START_MS, walk

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
HOUR = 60
EXCHANGE = "fake"


class EveryNth:
    """Proposes a limit order at every n-th candle of the epoch's grid, long and short in turn."""

    warmup = 2

    def __init__(self, every: int = 3, name: str = "every_nth", stop_pct: float = 0.3) -> None:
        self.every, self.name, self.stop_pct = every, name, stop_pct

    def params(self) -> dict[str, Any]:
        return {"every": self.every, "stop_pct": self.stop_pct}

    def find(self, candles: Candles, instrument: Instrument, timeframe: str, first: int = 0) -> pd.DataFrame:
        step = timeframe_ms(timeframe)
        place = candles.ts[first:] // step
        at = first + np.flatnonzero(place % self.every == 0)
        if not len(at):
            return empty_frame(CANDIDATES)
        side = np.where(candles.ts[at] // step // self.every % 2 == 0, 1.0, -1.0)
        entry = candles.close[at] * (1.0 - 0.0005 * side)
        risk = side * entry * self.stop_pct / 100.0
        return conform(
            pd.DataFrame(
                {
                    "ts_ms": candles.ts[at],
                    "decided_ms": candles.ts[at] + step,
                    "direction": np.where(side > 0, "long", "short"),
                    "order_type": "limit",
                    "entry": entry,
                    "sl": entry - risk,
                    "tp1": entry + 1.5 * risk,
                    "tp2": entry + 2.5 * risk,
                    "atr": np.abs(risk) / 2.0,
                    "confidence": 0.5,
                    "anchor_a_ms": candles.ts[at] - step,
                    "anchor_b_ms": candles.ts[at],
                    "regime_trend": "unknown",
                    "regime_vol": "unknown",
                    "plan": "{}",
                    "rationale": "every n-th candle",
                }
            ),
            CANDIDATES,
        )


class StoppedClock:
    """A market that is never asked and whose time a test sets."""

    exchange, synthetic, live = EXCHANGE, False, False

    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now

    async def advance(self) -> int | None:
        return None

    async def load_markets(self) -> dict[str, Instrument]:
        return {}

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> np.ndarray:
        raise AssertionError("this market is not to be asked")

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> np.ndarray | None:
        return None

    async def close(self) -> None:
        """Nothing is held."""


def configured(folder: Path, change: Mapping[str, Any] | None = None) -> Config:
    """Return the shipped configuration with a database in `folder`, two timeframes, and changes."""
    plain: dict[str, Any] = {"symbols": [BTC], "timeframes": ["5m", "15m"], "notify": {"console": False}}
    return load_config(write_config(folder, {**plain, **(change or {})}), {})


def open_desk(
    folder: Path,
    market: Market | None = None,
    change: Mapping[str, Any] | None = None,
    setups: Sequence[Any] | None = None,
) -> Desk:
    """Open a desk on the database of a folder; whoever calls closes its writer."""
    config = configured(folder, change)
    writer = Writer(Path(config.app.db_path))
    chosen = market or StoppedClock(START_MS)
    return Desk(
        config=config,
        market=chosen,
        writer=writer,
        reader=writer.reader,
        exchange=chosen.exchange,
        symbols=list(config.symbols),
        setups=list(setups) if setups is not None else [EveryNth()],
        exit_policy=app.build_exit_policy(config),
        costs=app.build_costs(config),
        rules=app.build_rules(config),
        notifiers={},
        log=logging.getLogger("test"),
    )


def minutes(hours: float, seed: int = 7) -> Candles:
    """Return one-minute candles of a random walk from the start on."""
    return walk(max(1, int(-(-hours // 24))), seed=seed).slice(0, int(hours * HOUR))


def without(candles: Candles, *missing: int) -> Candles:
    """Return candles but for those at some minutes."""
    kept = np.setdiff1d(np.arange(len(candles)), missing)
    return Candles.of(*(getattr(candles, name)[kept] for name in Candles.__slots__))


def feed(desk: Desk, candles: Candles, to_ms: int, symbol: str = BTC, from_ms: int = 0) -> None:
    """Store the minutes of a stretch and move the frontier to its end."""
    key = (desk.exchange, symbol, "1m")
    with desk.writer.transaction():
        desk.writer.put_candles(*key, candles.between(from_ms, to_ms), to_ms)
        desk.writer.set_checkpoint(*key, to_ms)
        desk.writer.set_frontier(*key, to_ms)


def end_of(candles: Candles) -> int:
    return int(candles.ts[-1]) + MINUTE_MS


def play(desk: Desk) -> int:
    """Play a desk's tape through the cycle to its end; return the number of cycles."""

    async def work() -> int:
        cycles = 0
        while (now_ms := await desk.market.advance()) is not None:
            for report in await cycle.run(desk, now_ms):
                assert report.ok, str(report)
            cycles += 1
        return cycles

    return asyncio.run(work())


def tape_market(
    candles: Mapping[str, Candles], step_min: int = 5, funding: Any = None, **settings: Any
) -> ReplayMarket:
    instruments = {symbol: Instrument(EXCHANGE, symbol, 0.01, 0.001, 5.0) for symbol in candles}
    tape = Tape.of(dict(candles), instruments, funding)
    return ReplayMarket(tape, EXCHANGE, step_ms=step_min * MINUTE_MS, **settings)


def rows_of(candles: Candles) -> np.ndarray:
    """Return candles as a market or a file hands them in."""
    names = ("ts", "open", "high", "low", "close", "volume")
    return np.column_stack([getattr(candles, name) for name in names])


def same_candles(one: Candles, other: Candles) -> bool:
    """Whether two runs hold the same values, bit by bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "taker_volume")
        for name in Candles.__slots__
    )
