"""What feature families share: what they look at, how they scale it, and what a family is.

The law: a family sees candles up to the candidate's own and outcomes known by then, nothing later. What is not known is
NaN, never 0 and never infinite.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import timeframe_ms
from core.execution.costs import CostModel
from core.indicators.volatility import true_range, wilder_atr
from core.schema import Candles, FloatArray, IntArray

__all__ = [
    "ATR_PERIOD",
    "NOT_THERE",
    "REACH",
    "Family",
    "Outcomes",
    "Plans",
    "View",
    "last_at",
    "ratio",
    "table",
]

ATR_PERIOD = 14  # Wilder's own choice
REACH = 600  # candles after which an anchor is out of sight
NOT_THERE = -1  # the position, or the time, of what is not known
_LEG_KEY = '"leg": '  # as `json.dumps` writes it; inside a text its quotes would be escaped
_JSON = json.JSONDecoder()
STANDS_STILL = 1e-9  # an ATR below this share of the price is rounding, no movement to measure in


@dataclass(frozen=True, slots=True, eq=False)
class Plans:
    """What candidates plan, one row each.

    Parameters
    ----------
    side : float64 array, shape (n,)
        1 long, -1 short.
    entry, sl, tp1, tp2, atr : float64 array, shape (n,)
        Price units.
    decided_ms : int64 array, shape (n,)
        Close of the candle that made the plan, UTC milliseconds.
    anchor_a_ms, anchor_b_ms : int64 array, shape (n,)
        Open of the leg's first and last candle; -1 where the plan has no leg.
    a_price, b_price : float64 array, shape (n,)
        The leg's ends, price units; NaN where the plan has no leg.
    setup, order_type, regime_vol : object array of str, shape (n,)
    """

    side: FloatArray
    entry: FloatArray
    sl: FloatArray
    tp1: FloatArray
    tp2: FloatArray
    atr: FloatArray
    decided_ms: IntArray
    anchor_a_ms: IntArray
    anchor_b_ms: IntArray
    a_price: FloatArray
    b_price: FloatArray
    setup: npt.NDArray[np.object_]
    order_type: npt.NDArray[np.object_]
    regime_vol: npt.NDArray[np.object_]

    @classmethod
    def of(cls, signals: pd.DataFrame) -> Plans:
        """Read the plans of signals.

        Parameters
        ----------
        signals : pandas.DataFrame
            Columns `schema.SIGNALS`; the leg's ends are read from the JSON in `plan`.

        Examples
        --------
        >>> from core.schema import SIGNALS, empty_frame
        >>> len(Plans.of(empty_frame(SIGNALS)))
        0
        """
        legs = np.array([_leg(text) for text in signals["plan"].tolist()], dtype=np.float64).reshape(-1, 4)
        a_ms, b_ms = (np.nan_to_num(legs[:, i], nan=NOT_THERE).astype(np.int64) for i in (0, 2))
        return cls(
            side=np.where(signals["direction"].to_numpy(object) == "short", -1.0, 1.0),
            decided_ms=signals["decided_ms"].to_numpy(np.int64),
            anchor_a_ms=a_ms,
            anchor_b_ms=b_ms,
            a_price=legs[:, 1].copy(),
            b_price=legs[:, 3].copy(),
            **{name: signals[name].to_numpy(np.float64) for name in ("entry", "sl", "tp1", "tp2", "atr")},
            **{name: signals[name].to_numpy(object) for name in ("setup", "order_type", "regime_vol")},
        )

    def __len__(self) -> int:
        return len(self.side)


def _leg(plan: str) -> tuple[float | None, ...]:
    """Return when and where the leg of a plan begins and ends."""
    found = plan.find(_LEG_KEY)  # the leg alone: the rest of a plan is ten times as long
    leg: dict[str, Any] = _JSON.raw_decode(plan, found + len(_LEG_KEY))[0] if found >= 0 else {}
    return leg.get("a_ms"), leg.get("a_price"), leg.get("b_ms"), leg.get("b_price")


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Finished candidates of one symbol and timeframe.

    Parameters
    ----------
    known_ms : int64 array, shape (m,)
        When each outcome could be known, UTC milliseconds, ascending.
    r : float64 array, shape (m,)
        Results after costs, R.
    """

    known_ms: IntArray
    r: FloatArray

    @classmethod
    def none(cls) -> Outcomes:
        """Return no outcomes.

        Examples
        --------
        >>> len(Outcomes.none().r)
        0
        """
        return cls(np.empty(0, dtype=np.int64), np.empty(0))


@dataclass(frozen=True, eq=False)
class View:
    """What is shown to the families: candidates of one series and what was around them.

    Parameters
    ----------
    candles : Candles
        Closed candles of the series; `FeatureSet.warmup` of them, or all there are, before each candidate's. Later
        ones may be there and are not looked at.
    at : int64 array, shape (n,)
        Position in `candles` of the candle whose close made each candidate.
    plans : Plans
        Row by row beside `at`.
    timeframe : str
    costs : CostModel
    benchmark : Candles
        Of the same timeframe, of the symbol the market follows; may be empty.
    funding : float64 array, shape (m, 2)
        Recorded settlements: time in UTC ms, ascending, and rate as a fraction; may be empty.
    outcomes : Outcomes
        Finished candidates of the same symbol and timeframe.
    """

    candles: Candles
    at: IntArray
    plans: Plans
    timeframe: str
    costs: CostModel
    benchmark: Candles = field(default_factory=Candles.empty)
    funding: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    outcomes: Outcomes = field(default_factory=Outcomes.none)

    @cached_property
    def step_ms(self) -> int:
        """Length of a candle, milliseconds."""
        return timeframe_ms(self.timeframe)

    @cached_property
    def close(self) -> FloatArray:
        """Close of each candidate's candle, price units."""
        return self.candles.close[self.at]

    @cached_property
    def ranges(self) -> FloatArray:
        """True range of every candle, price units."""
        return true_range(self.candles.high, self.candles.low, self.candles.close)

    @cached_property
    def atrs(self) -> FloatArray:
        """Wilder's ATR(14) of every candle, price units."""
        return wilder_atr(self.candles.high, self.candles.low, self.candles.close, ATR_PERIOD)

    @cached_property
    def atr(self) -> FloatArray:
        """Wilder's ATR(14) at each candidate, price units; NaN where the market stands still."""
        atr = self.atrs[self.at]
        return np.where(atr > STANDS_STILL * np.abs(self.close), atr, np.nan)

    @cached_property
    def anchor_a(self) -> IntArray:
        """Position of the leg's first candle; -1 where there is none in sight."""
        return self._position(self.plans.anchor_a_ms)

    @cached_property
    def anchor_b(self) -> IntArray:
        """Position of the leg's last candle; -1 where there is none in sight."""
        return self._position(self.plans.anchor_b_ms)

    def from_close(self, price: FloatArray) -> FloatArray:
        """Return how far the close lies beyond a price, in the direction of the trade, ATRs."""
        return self.signed_atr(self.close - price)

    def signed_atr(self, move: FloatArray) -> FloatArray:
        """Return a move in the direction of the trade, ATRs."""
        return ratio(self.plans.side * move, self.atr)

    def _position(self, ts_ms: IntArray) -> IntArray:
        found = last_at(self.candles.ts, ts_ms)
        there = (found >= 0) & (found <= self.at) & (self.at - found <= REACH)
        there[there] = self.candles.ts[found[there]] == ts_ms[there]
        return np.where(there, found, NOT_THERE)


@runtime_checkable
class Family(Protocol):
    """Columns of one kind. One file each in `core/features`, found by the file's name.

    Attributes
    ----------
    name : str
        The file's name.
    columns : tuple of str
        In order; each begins with the family's own prefix.
    required : tuple of str
        Those without which no candidate is judged.
    warmup : int
        Candles before the candidate's own after which values do not depend on where the data begins.
    version : int
        Raised when the same columns begin to mean something else.
    """

    name: str
    columns: tuple[str, ...]
    required: tuple[str, ...]
    warmup: int
    version: int

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate, shape (n, k); NaN where one is not known."""
        ...


def last_at(times: IntArray, moments: IntArray) -> IntArray:
    """Return the position of the last time at or before each moment; -1 where there is none.

    Examples
    --------
    >>> last_at(np.array([10, 20]), np.array([9, 10, 25])).tolist()
    [-1, 0, 1]
    """
    found: IntArray = np.searchsorted(times, moments, side="right").astype(np.int64) - 1
    return found


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide where the denominator is above 0; NaN elsewhere.

    Examples
    --------
    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, nan]
    """
    out = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0.0)
    return out


def table(columns: Sequence[str], values: Mapping[str, npt.ArrayLike], n: int) -> FloatArray:
    """Put columns side by side in their order, shape (n, k); a number is the value of every row.

    Examples
    --------
    >>> table(("a", "b"), {"b": 5.0, "a": np.array([1.0, 2.0])}, 2).tolist()
    [[1.0, 5.0], [2.0, 5.0]]
    """
    parts = [np.broadcast_to(np.asarray(values[name], dtype=np.float64), n) for name in columns]
    return np.stack(parts, axis=1)
