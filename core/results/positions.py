"""Open positions: where each stands between its stop and its targets, and how much of one bet they are together.

The law: a position is worth what it has realised and what the newest close makes of the rest, before the cost of
leaving it; nothing here is settled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.results.spread import planned_risk_pct
from core.schema import FloatArray, FrameSpec, conform

__all__ = ["POSITIONS", "Exposure", "correlations", "exposure_of", "extremes", "positions", "worth_r"]

POSITIONS: FrameSpec = MappingProxyType(
    {
        "signal_id": "int64",
        "symbol": "str",
        "timeframe": "str",
        "direction": "str",
        "status": "str",  # PENDING or OPEN
        "since_ms": "int64",  # decided while pending, filled once open
        "notional": "float64",  # planned size, quote currency
        "entry": "float64",  # planned while pending, filled once open
        "stop": "float64",  # as moved
        "price": "float64",  # newest close, NaN where none is stored
        "worth_r": "float64",  # see `worth_r`; NaN while pending
        "price_r": "float64",  # price less entry in planned risk, towards the targets; NaN while pending
        "stop_r": "float64",  # the same of the stop, of both targets
        "tp1_r": "float64",
        "tp2_r": "float64",
        "away_pct": "float64",  # from price to entry, percent of price
        "tp1_hit": "int64",
        "remaining": "float64",  # share of the position still held
    }
)


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much is at stake together.

    Parameters
    ----------
    gross, net : float
        Sum of the notionals, without and with their side; quote currency.
    together : float
        What they weigh as one bet, quote currency: ``sqrt(w' C w)`` of signed notionals `w` and correlations `C`
        (Markowitz 1952), so that pairs that move alike add up and opposite sides cancel.
    bets : float
        How many independent positions of equal size weigh as little together: ``(gross / together)^2``, infinite where
        they cancel out; NaN without a position.
    """

    gross: float
    net: float
    together: float
    bets: float


def worth_r(rows: pd.DataFrame, price: npt.ArrayLike) -> FloatArray:
    """Return what open positions are worth at a price, in R, before the cost of leaving them.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns direction, entry and sl of signals, fill_price, remaining and r_multiple of their trades.
    price : array-like of float, shape (n,)
        NaN where there is none.

    Returns
    -------
    float64 array of shape (n,)
        NaN where there is no price or no fill.

    Notes
    -----
    ``r_multiple + remaining * move_pct / risk_pct``: what is realised so far, after the costs paid, and the move from
    the fill to the price of what is still held; ``risk_pct`` is `planned_risk_pct`. A trade that is left at that price
    ends with this ``r_multiple``, less the cost of leaving.

    Examples
    --------
    >>> half = {"direction": ["long"], "entry": [100.0], "sl": [98.0], "fill_price": [100.0]}
    >>> worth_r(pd.DataFrame({**half, "remaining": [0.5], "r_multiple": [0.75]}), [101.0]).tolist()
    [1.0]
    """
    side = np.where(rows["direction"] == "long", 1.0, -1.0)
    fill, remaining, realised = (rows[name].to_numpy(np.float64) for name in ("fill_price", "remaining", "r_multiple"))
    move_pct = 100.0 * side * (np.asarray(price, dtype=np.float64) - fill) / fill
    worth: FloatArray = realised + remaining * move_pct / planned_risk_pct(rows)
    return worth


def positions(trades: pd.DataFrame, signals: pd.DataFrame, prices: Mapping[str, float]) -> pd.DataFrame:
    """Return the unfinished trades beside the newest prices, the newest first.

    Parameters
    ----------
    trades : pandas.DataFrame
        Columns `schema.TRADES`; finished ones are left out.
    signals : pandas.DataFrame
        Columns id, symbol, timeframe, direction, entry, sl, tp1, tp2, decided_ms, position_notional of theirs.
    prices : mapping of str to float
        Newest close by symbol.

    Returns
    -------
    pandas.DataFrame
        Columns `POSITIONS`.
    """
    open_ = trades[trades["status"].isin(["PENDING", "OPEN"])]
    rows = open_.merge(signals, left_on="signal_id", right_on="id", how="inner")
    filled = (rows["status"] == "OPEN").to_numpy()
    planned, fill = rows["entry"].to_numpy(dtype=np.float64), rows["fill_price"].to_numpy(dtype=np.float64)
    entry = np.where(filled, fill, planned)
    side = np.where(rows["direction"] == "long", 1.0, -1.0)
    risk = np.abs(planned - rows["sl"].to_numpy(dtype=np.float64))
    price = rows["symbol"].map(lambda symbol: prices.get(symbol, math.nan)).to_numpy(dtype=np.float64)
    stop = np.where(filled, rows["stop"].to_numpy(dtype=np.float64), rows["sl"].to_numpy(dtype=np.float64))

    def in_r(level: FloatArray) -> FloatArray:
        found: FloatArray = side * (level - entry) / risk
        return found

    told = pd.DataFrame(
        {
            **{name: rows[name] for name in ("signal_id", "symbol", "timeframe", "direction", "status", "tp1_hit")},
            "since_ms": np.where(filled, rows["opened_ms"], rows["decided_ms"]),
            "notional": rows["position_notional"],
            "remaining": rows["remaining"],
            "entry": entry,
            "stop": stop,
            "price": price,
            "worth_r": np.where(filled, worth_r(rows, price), math.nan),
            "price_r": np.where(filled, in_r(price), math.nan),
            "stop_r": in_r(stop),
            "tp1_r": in_r(rows["tp1"].to_numpy(dtype=np.float64)),
            "tp2_r": in_r(rows["tp2"].to_numpy(dtype=np.float64)),
            "away_pct": 100.0 * (entry - price) / price,
        }
    )
    told = told.sort_values(["since_ms", "signal_id"], ascending=False, kind="stable", ignore_index=True)
    return conform(told, POSITIONS)


def correlations(closes: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Return the correlation of log returns of closes at the same times.

    Parameters
    ----------
    closes : mapping of str to float64 array
        By symbol, all of one length; NaN where there is none.

    Returns
    -------
    pandas.DataFrame
        Square, by symbol; a pair with fewer than 30 returns in common counts as fully correlated, which never makes
        an exposure look smaller than it is.
    """
    logs = pd.DataFrame({symbol: np.diff(np.log(values)) for symbol, values in closes.items()})
    found = logs.corr(min_periods=30).fillna(1.0)
    return found.clip(-1.0, 1.0)


def extremes(alike: pd.DataFrame) -> tuple[tuple[str, str, float], tuple[str, str, float]] | None:
    """Return the pairs that move least and most alike, each with its correlation; None below two symbols."""
    names = [str(name) for name in alike.index]
    matrix = alike.to_numpy(dtype=np.float64)
    found = [(a, b, float(matrix[i, j])) for i, a in enumerate(names) for j, b in enumerate(names) if i < j]
    if not found:
        return None
    return min(found, key=lambda pair: pair[2]), max(found, key=lambda pair: pair[2])


def exposure_of(rows: pd.DataFrame, alike: pd.DataFrame) -> Exposure:
    """Return what open positions are together.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `POSITIONS`; waiting ones are left out.
    alike : pandas.DataFrame
        Of `correlations`, with every symbol of `rows`.
    """
    held = rows[rows["status"] == "OPEN"]
    side = np.where(held["direction"] == "long", 1.0, -1.0)
    amounts = side * held["notional"].to_numpy(dtype=np.float64) * held["remaining"].to_numpy(dtype=np.float64)
    if not len(held):
        return Exposure(0.0, 0.0, 0.0, math.nan)
    weights = pd.Series(amounts, index=held["symbol"].to_numpy()).groupby(level=0).sum()
    matrix = alike.loc[weights.index, weights.index].to_numpy(dtype=np.float64)
    together = math.sqrt(max(0.0, float(weights.to_numpy() @ matrix @ weights.to_numpy())))
    gross = float(np.abs(amounts).sum())
    bets = (gross / together) ** 2 if together > 0 else math.inf
    return Exposure(gross, float(amounts.sum()), together, bets)
