"""The door: raw rows of an answer become clean closed candles; what cannot be a candle is told apart, with its reason.

The law: nothing is repaired. A row is a closed candle, the forming candle (dropped, not closed yet) or a reject.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.schema import Candles, FloatArray

__all__ = ["REJECTED", "clean"]

REJECTED = ("ts_ms", "reason", "detail")
"""Columns of the frame of rejects."""

_COLUMNS = 6
_NO_REJECTS = pd.DataFrame(
    {"ts_ms": np.empty(0, np.int64), "reason": np.empty(0, object), "detail": np.empty(0, object)}
)


def clean(rows: FloatArray, timeframe_ms: int, now_ms: int) -> tuple[Candles, pd.DataFrame]:
    """Sort the rows of an answer into closed candles and rejects.

    Parameters
    ----------
    rows : float64 array, shape (n, 6) or (n, 7)
        ts in ms, open, high, low, close, volume and, where known, taker volume; any order, repeats allowed.
    timeframe_ms : int
        Length of a candle, milliseconds.
    now_ms : int
        Exchange time. A candle exists once ``ts + timeframe_ms <= now_ms``.

    Returns
    -------
    candles : Candles
        Closed and clean, oldest first; of repeated times the last row counts.
    rejected : pandas.DataFrame
        Columns `REJECTED`, not to be written to. Reasons: time, off_grid, future, price, high, low, volume. A time
        that cannot be read is 0.

    Notes
    -----
    Rejected are prices that are NaN, infinite or not positive, ``high < max(open, close)``,
    ``low > min(open, close)``, negative or unreadable volume, times off the grid or in the future.
    A taker volume that cannot be is taken for unknown (NaN); the candle stays.

    Examples
    --------
    >>> rows = np.array([[60_000, 1, 2, 1, 2, 5.0], [120_000, 2, 1, 1, 2, 5.0]])
    >>> candles, rejected = clean(rows, 60_000, 240_000)
    >>> candles.ts.tolist(), rejected["reason"].tolist()
    ([60000], ['high'])
    """
    if len(rows) == 0:
        return Candles.empty(), _NO_REJECTS
    rows = rows[_in_order(rows[:, 0])]
    reasons, faulty = _judge(rows, timeframe_ms, now_ms)
    kept = rows
    rejected = _NO_REJECTS
    closed = rows[:, 0] + timeframe_ms <= now_ms
    if faulty.any():
        # What is wrong with a candle that is still forming is not held against it.
        forming = (rows[:, 0] <= now_ms) & ~closed
        rejected = _rejects(rows, reasons, faulty & ~forming)
        kept = rows[closed & ~faulty]
    elif not closed[-1]:
        kept = rows[closed]
    return _candles(kept), rejected


def _in_order(ts: FloatArray) -> npt.NDArray[np.int64] | slice:
    """Positions that sort `ts`, repeats in the order they came; a slice where nothing is to be done."""
    if len(ts) == 1 or bool((ts[1:] >= ts[:-1]).all()):
        return slice(None)
    return np.argsort(ts, kind="stable")


def _judge(
    rows: FloatArray, timeframe_ms: int, now_ms: int
) -> tuple[dict[str, npt.NDArray[np.bool_]], npt.NDArray[np.bool_]]:
    """The checks in order of precedence, each True where it fails, and whether any fails."""
    ts, open_, high, low, close, volume = (rows[:, i] for i in range(_COLUMNS))
    prices = rows[:, 1:5]
    with np.errstate(invalid="ignore"):
        checks = {
            "time": ~(np.isfinite(ts) & (ts > 0)),
            "off_grid": ts % timeframe_ms != 0,
            "future": ts > now_ms,
            "price": ~(np.isfinite(prices) & (prices > 0)).all(axis=1),
            "high": high < np.maximum(open_, close),
            "low": low > np.minimum(open_, close),
            "volume": ~(np.isfinite(volume) & (volume >= 0)),
        }
    faulty = np.logical_or.reduce(list(checks.values()))
    return checks, faulty


def _rejects(rows: FloatArray, checks: dict[str, npt.NDArray[np.bool_]], which: npt.NDArray[np.bool_]) -> pd.DataFrame:
    found = []
    for position in np.flatnonzero(which):
        reason = next(name for name, failed in checks.items() if failed[position])
        ts, open_, high, low, close, volume = rows[position, :_COLUMNS].tolist()
        stamp = 0 if reason == "time" else int(ts)
        found.append((stamp, reason, f"open {open_} high {high} low {low} close {close} volume {volume}"))
    return pd.DataFrame(found, columns=list(REJECTED)).astype({"ts_ms": np.int64}) if found else _NO_REJECTS


def _candles(rows: FloatArray) -> Candles:
    if len(rows) == 0:
        return Candles.empty()
    ts = rows[:, 0].astype(np.int64)
    last_of_its_time = np.append(ts[1:] != ts[:-1], True)
    if not last_of_its_time.all():
        rows, ts = rows[last_of_its_time], ts[last_of_its_time]
    taker = None
    if rows.shape[1] > _COLUMNS:
        taker = np.where(rows[:, 6] >= 0, rows[:, 6], np.nan)
    open_, high, low, close, volume = (rows[:, i] for i in range(1, _COLUMNS))
    return Candles.of(ts, open_, high, low, close, volume, taker)
