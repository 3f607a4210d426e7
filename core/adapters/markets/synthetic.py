"""Generated markets: worlds whose truth is known, to measure the engine against.

The law: a world is a function of its name, its seed and the symbol. The same arguments give the same bytes, a
longer tape begins with the shorter one, and a symbol's candles do not depend on which others are asked for.

    walk    a fair game: Gaussian steps, volatility in slow regimes
    fat     a fair game: Student's t steps with 4 degrees of freedom and jumps, the same regimes
    edge    a planted edge: after an impulse and its pullback the price reaches the leg's extension before the
            far side with probability `p_star`, in low and normal volatility; a fair game in high volatility
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.adapters.markets._tape import Series, Tape
from core.adapters.markets._worlds import (
    BASE_LANES,
    DECISION_COLUMNS,
    EDGE_LANES,
    FAT_LANES,
    LANE_TAKER,
    LANE_VOLUME,
    first_state,
    play_minutes,
)
from core.clock import DAY_MS, MINUTE_MS, floor_to
from core.errors import ConfigError, nearest
from core.schema import Candles, FloatArray, Instrument

__all__ = ["WORLDS", "World", "instrument_of", "make_tape", "make_world"]

WORLDS = ("edge", "fat", "walk")

_DAY_MINUTES = DAY_MS // MINUTE_MS
_YEAR_MINUTES = 365 * _DAY_MINUTES
_CHUNK_MINUTES = 15 * _DAY_MINUTES  # simulated at a time, so that memory stays flat; no result depends on it
_USD_PER_MINUTE = 400_000.0  # mean turnover
_MIN_NOTIONAL_USD = 5.0
_EXCHANGE = "synthetic"

# first price in quote currency and volatility of a year, for names a reader knows; orders of magnitude only
_KNOWN = {
    "BTC": (30_000.0, 0.60),
    "ETH": (2_000.0, 0.75),
    "SOL": (50.0, 1.00),
    "XRP": (0.5, 0.90),
    "DOGE": (0.08, 1.00),
    "ADA": (0.4, 0.90),
    "AVAX": (20.0, 1.00),
    "LINK": (10.0, 0.90),
    "TON": (3.0, 0.90),
    "PEPE": (0.000_001_5, 1.20),
}


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """What was generated for one symbol, and the truth behind it.

    Parameters
    ----------
    candles : Candles
        One-minute candles without gaps; each opens at the close before it.
    decisions : pandas.DataFrame
        The finished decisions of the `edge` world: began_ms, ended_ms (minutes in which they began and ended),
        side (1 up, -1 down), edge (whether a drift was on), start, target, stop (prices), won (the target was
        reached first).
    regime : int8 array
        Volatility of each minute: 0 low, 1 normal, 2 high.
    phase : int8 array
        0 neutral, 1 impulse, 2 pullback, 3 decision, at each minute's end.
    """

    candles: Candles
    decisions: pd.DataFrame
    regime: npt.NDArray[np.int8]
    phase: npt.NDArray[np.int8]


def make_tape(world: str, symbols: Sequence[str], start_ms: int, days: int, seed: int, p_star: float = 0.8) -> Tape:
    """Generate a tape.

    Parameters
    ----------
    world : str
        One of `WORLDS`.
    symbols : sequence of str
        Unified names; each gets its own path.
    start_ms : int
        Open time of the first candle, UTC milliseconds, rounded down to the minute.
    days : int
        Length.
    seed : int
        Not negative.
    p_star : float
        In the `edge` world, the probability that a decision reaches its target; 0.5 plants nothing.

    Raises
    ------
    ConfigError
        An unknown world, no symbol, or a number out of its range.

    Examples
    --------
    >>> tape = make_tape("walk", ["BTC/USDT"], 0, 1, seed=7)
    >>> len(tape.series["BTC/USDT"].candles), tape.end_ms == DAY_MS
    (1440, True)
    """
    if not symbols:
        raise ConfigError("symbols: none; a synthetic market needs at least one")
    return Tape(
        {
            symbol: Series(make_world(world, symbol, start_ms, days, seed, p_star).candles, instrument_of(symbol))
            for symbol in symbols
        }
    )


def make_world(world: str, symbol: str, start_ms: int, days: int, seed: int, p_star: float = 0.8) -> World:
    """Generate one symbol with the truth behind it; parameters as in `make_tape`.

    Notes
    -----
    The numbers come from PCG64, keyed by seed and symbol, a fixed count a minute. Prices are rounded to the tick
    and volumes to the lot, so that the last digit of a platform's exponential does not show.
    """
    _check(world, days, seed, p_star)
    instrument = instrument_of(symbol)
    price, year_volatility = _character(symbol)
    sigma = year_volatility / math.sqrt(_YEAR_MINUTES)
    bits = np.random.PCG64(np.random.SeedSequence([seed, crc32(symbol.encode())]))
    lanes = BASE_LANES + {"walk": 0, "fat": FAT_LANES, "edge": EDGE_LANES}[world]
    log_odds = math.log(p_star / (1 - p_star))
    state = first_state(math.log(price))
    columns, regimes, phases, decisions = [], [], [], []
    n = days * _DAY_MINUTES
    for first in range(0, n, _CHUNK_MINUTES):
        uniforms = _uniforms(bits, min(_CHUNK_MINUTES, n - first), lanes)
        before = float(state[0])
        path, regime, phase, decided, state = play_minutes(
            uniforms, first, state, sigma, world == "fat", world == "edge", log_odds
        )
        columns.append(_path_to_columns(path, before, uniforms, instrument, price, sigma))
        regimes.append(regime)
        phases.append(phase)
        decisions.append(decided)
    begin_ms = floor_to(start_ms, MINUTE_MS)
    return World(
        candles=Candles.of(begin_ms + MINUTE_MS * np.arange(n, dtype=np.int64), *np.concatenate(columns, axis=1)),
        decisions=_decision_frame(np.concatenate(decisions), begin_ms),
        regime=np.concatenate(regimes),
        phase=np.concatenate(phases),
    )


def instrument_of(symbol: str) -> Instrument:
    """Return a generated symbol's steps: five or six significant digits of price, a lot of less than a dollar."""
    price, _ = _character(symbol)
    magnitude = math.floor(math.log10(price))
    return Instrument(
        exchange=_EXCHANGE,
        symbol=symbol,
        tick=10.0 ** -max(0, 5 - magnitude),
        lot=10.0 ** -max(0, 1 + magnitude),
        min_notional=_MIN_NOTIONAL_USD,
    )


def _character(symbol: str) -> tuple[float, float]:
    """First price and volatility of a year; a name of no renown gets a price of 1 to 100 from its letters."""
    base = symbol.split("/")[0]
    return _KNOWN.get(base) or (round(10.0 ** (crc32(base.encode()) % 2_000 / 1_000), 2), 0.90)


def _check(world: str, days: int, seed: int, p_star: float) -> None:
    if world not in WORLDS:
        raise ConfigError(f"exchange.synthetic.world: '{world}' is not known; {nearest(world, WORLDS)}")
    if days < 1:
        raise ConfigError(f"exchange.synthetic.days: {days}; expected at least 1")
    if seed < 0:
        raise ConfigError(f"exchange.synthetic.seed: {seed}; expected 0 or more")
    if not 0 < p_star < 1:
        raise ConfigError(f"exchange.synthetic.p_star: {p_star}; expected a probability between 0 and 1")


def _uniforms(bits: np.random.PCG64, rows: int, lanes: int) -> FloatArray:
    """Numbers strictly inside (0, 1) from the top 53 bits; the raw stream is fixed across releases of numpy."""
    raw = bits.random_raw(rows * lanes)
    raw >>= np.uint64(11)
    numbers: FloatArray = raw.astype(np.float64)
    numbers += 0.5
    numbers *= 2.0**-53
    return numbers.reshape(rows, lanes)


def _path_to_columns(
    path: FloatArray, before: float, uniforms: FloatArray, instrument: Instrument, first_price: float, sigma: float
) -> FloatArray:
    """Open, high, low, close, volume and taker volume of each minute, one row a column.

    Volume follows the minute's range and volatility, the takers' share its direction.
    """
    per_unit, per_lot = (round(1 / step) for step in (instrument.tick or 1.0, instrument.lot or 1.0))
    high, low, close = np.rint(np.exp(path[:, :3].T) * per_unit) / per_unit
    opens = np.concatenate(([round(math.exp(before) * per_unit) / per_unit], close[:-1]))
    move = np.diff(path[:, 2], prepend=before) / path[:, 3]
    activity = 0.5 * (path[:, 0] - path[:, 1]) / sigma * (0.3 - 0.7 * np.log(uniforms[:, LANE_VOLUME]))
    volume = np.maximum(1.0, np.rint(_USD_PER_MINUTE / first_price * activity * per_lot))
    share = np.clip(0.5 + 0.2 * np.tanh(move) + 0.4 * (uniforms[:, LANE_TAKER] - 0.5), 0.0, 1.0)
    taker = np.rint(volume * share)
    return np.stack((opens, high, low, close, volume / per_lot, taker / per_lot))


def _decision_frame(rows: FloatArray, begin_ms: int) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(DECISION_COLUMNS))
    prices = {name: np.exp(frame[name]) for name in ("start", "target", "stop")}
    return pd.DataFrame(
        {
            "began_ms": begin_ms + MINUTE_MS * frame["began"].astype("int64"),
            "ended_ms": begin_ms + MINUTE_MS * frame["ended"].astype("int64"),
            "side": frame["side"].astype("int64"),
            "edge": frame["edge"] > 0,
            **prices,
            "won": frame["won"] > 0,
        }
    )
