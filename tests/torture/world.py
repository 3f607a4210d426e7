"""The market everybody plays: a seeded tape, a rule whose candidates can be foreseen, and a configuration for both.

The law: a world follows from its number. Its price never depends on volume, so that an exchange may correct volumes
(and every column of the symbol that nobody trades) without changing what was to be decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.adapters.markets.replay import Tape
from core.clock import HOUR_MS, MINUTE_MS
from core.schema import CANDIDATES, Candles, Instrument, empty_frame
from tests.desks import EveryNth
from tests.engine import write_config
from tests.factories import START_MS, walk

__all__ = [
    "CALM_TICKS",
    "EXCHANGE",
    "SYMBOLS",
    "UNTRADED",
    "WIDE",
    "World",
    "tape_of",
    "traded_setups",
    "world_of",
    "write",
]

EXCHANGE = "bitget"
SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "ADA/USDT:USDT")
UNTRADED = SYMBOLS[2]
CALM_TICKS = 2  # cycles without faults at the end
WIDE: dict[str, Any] = {
    "max_open": 1_000,
    "max_open_per_symbol": 1_000,
    "cooldown_candles": 0,
    "stop_guard": {"stops": 1_000},
    "max_daily_loss_pct": 100,
}
"""Limits of an account that takes everything."""
_WARM_MS = 6 * HOUR_MS  # history before the first cycle; a settlement of funding falls into the time behind it


@dataclass(frozen=True, slots=True)
class World:
    """What a run plays.

    Parameters
    ----------
    tape : int
        Seed of the tape.
    ticks : int
        Cycles with faults.
    is_tight : bool
        The account has narrow limits, so that what is taken depends on what became of earlier trades.
    page : int
        Candles asked for at once.
    """

    tape: int
    ticks: int
    is_tight: bool = False
    page: int = 200

    @property
    def start_ms(self) -> int:
        """Market time before the first tick."""
        return START_MS + _WARM_MS

    @property
    def last_tick(self) -> int:
        """The last tick, behind the calm ones."""
        return self.ticks + CALM_TICKS


def world_of(seed: int) -> World:
    """Return the world of a seed: six of them, so that undisturbed runs are shared."""
    kind = seed % 3
    return World(tape=(seed // 3) % 2, ticks=480 if kind == 1 else 260, is_tight=kind == 2)


class _TradedOnly(EveryNth):
    """Leaves one symbol alone."""

    def find(self, candles: Candles, instrument: Instrument, timeframe: str, first: int = 0) -> pd.DataFrame:
        if instrument.symbol == UNTRADED:
            return empty_frame(CANDIDATES)
        return super().find(candles, instrument, timeframe, first)


def traded_setups(*_: object) -> list[EveryNth]:
    """Return the rule, whatever the configuration says of setups."""
    return [_TradedOnly(every=3, stop_pct=0.15)]


@cache
def tape_of(number: int) -> Tape:
    """Return a tape of a day for three symbols, with a settlement of funding every eight hours."""
    candles = {symbol: walk(1, seed=100 * number + i, price=40_000.0 / 10**i) for i, symbol in enumerate(SYMBOLS)}
    instruments = {symbol: Instrument(EXCHANGE, symbol, 0.01, 0.001, 5.0) for symbol in SYMBOLS}
    times = START_MS + 8 * HOUR_MS * np.arange(-3, 3)
    rates = {symbol: np.column_stack((times, np.full(len(times), 1e-4 * (i + 1)))) for i, symbol in enumerate(SYMBOLS)}
    return Tape.of(candles, instruments, rates)


def write(folder: Path, world: World) -> Path:
    """Write the world's configuration into a folder."""
    change = {
        "exchange": {"id": EXCHANGE},
        "symbols": list(SYMBOLS),
        "timeframes": ["5m", "15m"],
        "backfill": {"start_date": str(START_MS), "batch_limit": world.page},
        "models": {"meta": {"enabled": False}},
        "auto": {"enabled": False},
        "risk": {
            "limits": {"max_open": 4, "max_open_per_symbol": 3, "cooldown_candles": 1} if world.is_tight else WIDE
        },
        "notify": {"console": False, "late_minutes": 10_000},
    }
    return write_config(folder, change)


def minute_of(world: World, tick: int) -> int:
    """Return market time at a tick, UTC milliseconds."""
    return world.start_ms + tick * MINUTE_MS
