"""Pullbacks to a Fibonacci level of an impulse leg.

The law: one pass forward. A decision at candle t is made of what was known at its close, each leg decides
at most once, and the work per candle does not grow with the look-back.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.indicators.legs import LegRules, LegWindow, Prices, empty_window, follow, learn
from core.indicators.ticks import round_to_tick
from core.jit import njit
from core.schema import FloatArray, IntArray

__all__ = ["LegState", "PullbackRules", "Pullbacks", "find_pullbacks", "newest_legs"]


class PullbackRules(NamedTuple):
    """The numbers that turn a living leg into a plan.

    Parameters
    ----------
    window : int
        Candles on each side of a pivot.
    lookback : int
        Candles since its anchor after which a leg is too old.
    max_distance_atr : float
        Largest distance of the close from the entry, in ATRs.
    stop_level : float
        Retracement at which the stop is set: 1 is the leg's origin.
    stop_atr : float
        How far beyond that level the stop lies, in ATRs.
    rr_min : float
        Smallest reward to risk at the first target.
    use_avwap : bool
        Whether the close must be beyond the VWAP anchored at the leg's origin.
    """

    window: int
    lookback: int
    max_distance_atr: float
    stop_level: float
    stop_atr: float
    rr_min: float
    use_avwap: bool


class Pullbacks(NamedTuple):
    """What was found: one row per decision, by time and then by anchors.

    Parameters
    ----------
    t, a, b : int64 array
        Positions of the deciding candle and of the leg's first and last candle.
    side : int64 array
        1 long, -1 short.
    entry, sl, tp1, tp2, avwap : float64 array
        Price units; `avwap` is NaN where nothing has traded since the anchor.
    """

    t: IntArray
    a: IntArray
    b: IntArray
    side: IntArray
    entry: FloatArray
    sl: FloatArray
    tp1: FloatArray
    tp2: FloatArray
    avwap: FloatArray

    def where(self, keep: npt.NDArray[np.bool_]) -> Pullbacks:
        """Return the rows marked True."""
        whole = (self.t[keep], self.a[keep], self.b[keep], self.side[keep])
        return Pullbacks(*whole, self.entry[keep], self.sl[keep], self.tp1[keep], self.tp2[keep], self.avwap[keep])


class LegState(NamedTuple):
    """A leg as it stands at a close.

    Parameters
    ----------
    a, b : int
        Positions of its first and last candle.
    side : int
        1 for an up leg, -1 for a down leg.
    origin, end, entry, sl, tp1, tp2 : float
        Prices; the stop is that of a plan made at this close.
    avwap : float
        Anchored at its first candle; NaN where nothing has traded since.
    may_anchor : bool
        Its first candle is known to be the extreme of its run.
    passed_at, touched_at, exceeded_at : int
        First candle that closed beyond its origin, that touched its entry, that traded beyond its first target; -1
        where none has.
    planned_at : int
        Candle at whose close its plan held; -1 where none did.
    """

    a: int
    b: int
    side: int
    origin: float
    end: float
    entry: float
    sl: float
    tp1: float
    tp2: float
    avwap: float
    may_anchor: bool
    passed_at: int
    touched_at: int
    exceeded_at: int
    planned_at: int


@njit
def _stop(leg: np.void, atr: float, tick: float, rules: PullbackRules) -> float:
    level = leg["end"] - rules.stop_level * (leg["end"] - leg["origin"])
    if rules.stop_level == 1.0:
        level = leg["origin"]  # exactly, not to within the rounding of the line above
    return float(round_to_tick(level - rules.stop_atr * atr, tick, False))


@njit
def _decides(leg: np.void, close: float, atr: float, sl: float, avwap: float, rules: PullbackRules) -> bool:
    """Say whether the plan is worth placing at this close; NaN (not yet known) says no."""
    side, entry, tp1 = leg["side"], leg["entry"], leg["tp1"]
    distance = side * close - entry
    if not (0.0 <= distance <= rules.max_distance_atr * atr):
        return False
    # No order rests at zero or below: the lowest price is the stop of a long, the last target of a short.
    lowest = sl if side > 0 else -leg["tp2"]
    if not (lowest > 0.0 and sl < entry < tp1 and (tp1 - entry) / (entry - sl) >= rules.rr_min):
        return False
    return bool(not rules.use_avwap or side * (close - avwap) > 0.0)


@njit
def _scan(
    window: LegWindow,
    prices: Prices,
    pivots: IntArray,
    sides: IntArray,
    leg_rules: LegRules,
    rules: PullbackRules,
    first: int,
) -> tuple[IntArray, FloatArray]:
    places = np.empty((4, len(pivots)), dtype=np.int64)
    levels = np.empty((5, len(pivots)))
    rows, upcoming, found = 0, 0, 0
    for t in range(len(prices.close)):
        follow(window, rows, prices, t)
        if upcoming < len(pivots) and pivots[upcoming] + rules.window == t:
            rows = learn(window, rows, pivots[upcoming], sides[upcoming], prices, t, leg_rules)
            upcoming += 1
        for row in range(1, rows):
            anchor, leg = window[row - 1], window[row]
            if not leg["alive"] or anchor["passed"] or t - anchor["position"] > rules.lookback:
                continue
            sl = _stop(leg, prices.atr[t], leg_rules.tick, rules)
            avwap = anchor["turnover"] / anchor["traded"] if anchor["traded"] > 0.0 else np.nan
            if not _decides(leg, prices.close[t], prices.atr[t], sl, avwap, rules):
                continue
            leg["alive"] = False
            if t >= first:
                side = leg["side"]
                places[0, found], places[1, found] = t, anchor["position"]
                places[2, found], places[3, found] = leg["position"], side
                levels[0, found], levels[1, found] = side * leg["entry"], side * sl
                levels[2, found], levels[3, found] = side * leg["tp1"], side * leg["tp2"]
                levels[4, found] = avwap
                found += 1
    return places[:, :found].copy(), levels[:, :found].copy()


def find_pullbacks(
    prices: Prices, pivots: IntArray, sides: IntArray, leg_rules: LegRules, rules: PullbackRules, first: int
) -> Pullbacks:
    """Find the first close at which each leg's pullback can be planned.

    Parameters
    ----------
    prices : Prices
        Closed candles.
    pivots, sides : int64 array, shape (m,)
        From `core.indicators.swings.swing_pivots` with the same window.
    leg_rules : LegRules
        How legs are drawn.
    rules : PullbackRules
        When they are planned.
    first : int
        Position of the first candle whose decisions are returned; a leg that decided earlier stays decided.

    Returns
    -------
    Pullbacks
        At most one row per leg.

    Notes
    -----
    For an up leg from L (candle a) to H (candle b), ``D = H - L``: ``entry = H - entry_level * D``,
    ``tp = H + (ext - 1) * D``, ``sl = H - stop_level * D - stop_atr * ATR[t]``, all rounded to the tick before
    any comparison: entry and targets towards less profit, stop away from the entry. A plan is made at the
    first close t, the pivot at b being known, with ``low[j] > entry`` and ``high[j] <= tp1`` for all
    ``b < j <= t``, no close below L since a, ``t - a <= lookback``,
    ``0 <= close[t] - entry <= max_distance_atr * ATR[t]``, ``(tp1 - entry) / (entry - sl) >= rr_min`` and, if
    asked, ``close[t]`` above the VWAP anchored at a. A down leg is the mirror image.

    Examples
    --------
    >>> flat, none = np.ones(3), np.empty(0, dtype=np.int64)
    >>> leg_rules = LegRules(3, 3.0, 0.618, 1.272, 1.618, 0.1)
    >>> rules = PullbackRules(5, 300, 3.0, 1.0, 0.75, 1.0, True)
    >>> len(find_pullbacks(Prices(flat, flat, flat, flat, flat), none, none, leg_rules, rules, 0).t)
    0
    """
    places, levels = _scan(empty_window(leg_rules), prices, pivots, sides, leg_rules, rules, first)
    return Pullbacks(*places, *levels)


def newest_legs(
    prices: Prices, pivots: IntArray, sides: IntArray, leg_rules: LegRules, rules: PullbackRules
) -> list[LegState]:
    """Return the legs that are looked at when the last candle closes, whether alive or not, oldest first.

    Parameters and rules are those of `find_pullbacks`, whose own pass over the candles is read here.

    Examples
    --------
    >>> flat, none = np.ones(3), np.empty(0, dtype=np.int64)
    >>> leg_rules = LegRules(3, 3.0, 0.618, 1.272, 1.618, 0.1)
    >>> rules = PullbackRules(5, 300, 3.0, 1.0, 0.75, 1.0, True)
    >>> newest_legs(Prices(flat, flat, flat, flat, flat), none, none, leg_rules, rules)
    []
    """
    window = empty_window(leg_rules)
    places, _ = _scan(window, prices, pivots, sides, leg_rules, rules, 0)
    planned = {(a, b): t for t, a, b in zip(*places[:3].tolist(), strict=True)}
    rows = int(np.count_nonzero(window["side"]))
    return [_state(window[row - 1], window[row], prices, planned, leg_rules, rules) for row in range(1, rows)]


def _state(
    anchor: np.void,
    leg: np.void,
    prices: Prices,
    planned: dict[tuple[int, int], int],
    leg_rules: LegRules,
    rules: PullbackRules,
) -> LegState:
    a, b, side = int(anchor["position"]), int(leg["position"]), int(leg["side"])
    tops, bottoms = (prices.high, prices.low) if side > 0 else (-prices.low, -prices.high)
    return LegState(
        a=a,
        b=b,
        side=side,
        **{name: side * float(leg[name]) for name in ("origin", "end", "entry", "tp1", "tp2")},
        sl=side * _stop(leg, prices.atr[-1], leg_rules.tick, rules),
        avwap=float(anchor["turnover"] / anchor["traded"]) if anchor["traded"] > 0.0 else math.nan,
        may_anchor=bool(anchor["may_anchor"]),
        passed_at=_first(side * prices.close < leg["origin"], a + 1),
        touched_at=_first(bottoms <= leg["entry"], b + 1),
        exceeded_at=_first(tops > leg["tp1"], b + 1),
        planned_at=planned.get((a, b), -1),
    )


def _first(where: npt.NDArray[np.bool_], start: int) -> int:
    """Return the first true position at or after `start`, -1 where there is none."""
    found = np.flatnonzero(where[start:])
    return start + int(found[0]) if len(found) else -1
