"""Candles as arrays, and what an exchange says about a symbol.

The law: the arrays of a run of candles are read-only and of one length; handing them on copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Candles", "FloatArray", "Instrument", "IntArray", "perpetual"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Scalar = TypeVar("Scalar", np.float64, np.int64)


def _floats(values: npt.ArrayLike) -> FloatArray:
    return _read_only(np.ascontiguousarray(values, dtype=np.float64), values)


def _ints(values: npt.ArrayLike) -> IntArray:
    return _read_only(np.ascontiguousarray(values, dtype=np.int64), values)


def _read_only(array: npt.NDArray[Scalar], values: npt.ArrayLike) -> npt.NDArray[Scalar]:
    if array.flags.writeable:
        if array is values or array.base is not None:
            array = array.copy()
        array.setflags(write=False)
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """A run of closed candles of one series, oldest first, as read-only arrays of one length.

    Parameters
    ----------
    ts : int64 array
        Open times, UTC milliseconds, strictly increasing, on the timeframe's grid. Missing candles are absent.
    open, high, low, close : float64 array
        Prices in quote currency.
    volume : float64 array
        Base units.
    taker_volume : float64 array
        Base units bought by takers; NaN where the market does not say.
    n_minutes : int64 array
        Stored one-minute candles a candle was made of (1 for the base timeframe).
    """

    ts: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    taker_volume: FloatArray
    n_minutes: IntArray

    @classmethod
    def of(
        cls,
        ts: npt.ArrayLike,
        open: npt.ArrayLike,
        high: npt.ArrayLike,
        low: npt.ArrayLike,
        close: npt.ArrayLike,
        volume: npt.ArrayLike,
        taker_volume: npt.ArrayLike | None = None,
        n_minutes: npt.ArrayLike | None = None,
    ) -> Candles:
        """Build candles from array-likes; writable inputs are copied, never changed.

        Raises
        ------
        ValueError
            The arrays differ in length.
        """
        stamps = _ints(ts)
        n = len(stamps)
        taker = np.full(n, np.nan) if taker_volume is None else taker_volume
        minutes = np.ones(n, dtype=np.int64) if n_minutes is None else n_minutes
        o, h, lo, c, v, t = (_floats(column) for column in (open, high, low, close, volume, taker))
        counts = _ints(minutes)
        if any(len(column) != n for column in (o, h, lo, c, v, t, counts)):
            raise ValueError("candles: all columns must have the length of ts")
        return cls(stamps, o, h, lo, c, v, t, counts)

    @classmethod
    def empty(cls) -> Candles:
        """Return a run of no candles."""
        return cls.of([], [], [], [], [], [])

    @classmethod
    def concat(cls, parts: list[Candles]) -> Candles:
        """Join runs that follow each other in time."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        return cls.of(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.ts)

    def __reduce__(self) -> tuple[Callable[..., Candles], tuple[IntArray | FloatArray, ...]]:
        """Let another process receive arrays that are read-only there too: kernels are compiled for such."""
        return _received, tuple(getattr(self, f.name) for f in fields(self))

    def slice(self, lo: int, hi: int | None = None) -> Candles:
        """Return candles ``lo`` to ``hi - 1`` by position, as views."""
        return Candles(
            self.ts[lo:hi],
            self.open[lo:hi],
            self.high[lo:hi],
            self.low[lo:hi],
            self.close[lo:hi],
            self.volume[lo:hi],
            self.taker_volume[lo:hi],
            self.n_minutes[lo:hi],
        )

    def between(self, start_ms: int | None = None, end_ms: int | None = None) -> Candles:
        """Return the candles with ``start_ms <= ts < end_ms``, as views."""
        lo = 0 if start_ms is None else int(np.searchsorted(self.ts, start_ms))
        hi = len(self) if end_ms is None else int(np.searchsorted(self.ts, end_ms))
        return self.slice(lo, max(lo, hi))


def _received(*columns: npt.NDArray[Any]) -> Candles:
    for column in columns:
        column.setflags(write=False)
    return Candles(*columns)


@dataclass(frozen=True, slots=True)
class Instrument:
    """What an exchange says about a symbol.

    Parameters
    ----------
    exchange : str
        The exchange its rows are recorded under.
    symbol : str
        The unified name, such as ``BTC/USDT:USDT``.
    tick, lot : float or None
        Smallest step of price (quote units) and of quantity (base units); None where unknown.
    min_notional : float or None
        Smallest order in quote currency; None where unknown.
    active : bool
        Whether it trades now.
    """

    exchange: str
    symbol: str
    tick: float | None = None
    lot: float | None = None
    min_notional: float | None = None
    active: bool = True


def perpetual(symbol: str) -> bool:
    """Say whether a symbol names a perpetual contract, which pays funding.

    Examples
    --------
    >>> perpetual("BTC/USDT:USDT"), perpetual("BTC/USDT")
    (True, False)
    """
    return ":" in symbol and "-" not in symbol
