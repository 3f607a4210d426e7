"""Pullback to a Fibonacci level of an impulse leg, beside the VWAP anchored at its start.

The law: a leg gives at most one candidate, ever, at the first close at which its whole plan is known to hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from core.clock import timeframe_ms
from core.execution.costs import CostModel
from core.indicators.fibo import PullbackRules, Pullbacks, find_pullbacks, newest_legs
from core.indicators.legs import LegRules, Prices
from core.indicators.regime import PERIOD as REGIME_PERIOD
from core.indicators.regime import WARMUP as REGIME_WARMUP
from core.indicators.regime import regime_at, wilder_adx
from core.indicators.swings import swing_pivots
from core.indicators.volatility import WILDER_MEMORY, wilder_atr
from core.ports import NoCandidate
from core.schema import CANDIDATES, Candles, FloatArray, Instrument, IntArray, empty_frame, frame_of
from core.setups._base import require_choice, require_flag, require_number, require_whole, stored_digits
from core.setups._fibo_words import lacks, leg_text, nothing_yet, rationales

__all__ = ["FiboAvwap"]

DEEP_RETRACEMENT = 0.786  # the usual last retracement of a pullback: the square root of 0.618
STOP_BUFFER = 0.5  # of atr_mult_sl ATRs: how far beyond its level the stop lies
NO_CONFLUENCE_ATR = 3.0  # distance of the entry from the AVWAP at which they have nothing to do with each other
SHOWN_RETRACEMENTS = (0.0, 0.236, 0.382, 0.5, 0.618, DEEP_RETRACEMENT, 1.0)

# What a plan's JSON calls its leg and measures.
_LEG = {"a_ms": "anchor_a_ms", "a_price": "a_price", "b_ms": "anchor_b_ms", "b_price": "b_price"}
_MEASURES = {"avwap": "avwap", "avwap_distance_atr": "distance_atr", "rr1": "rr1", "rr2": "rr2"}
_MEASURES |= {"tp1_net_pct": "net_pct"}


@dataclass(frozen=True, kw_only=True)
class FiboAvwap:
    """Propose limit orders at a retracement of a fresh impulse leg.

    Parameters
    ----------
    piv_window : int
        Candles on each side that a swing pivot stands out from.
    anchors_to_consider : int
        How many of the newest legs are alive.
    entry_level : float
        Retracement of the entry, a share of the leg, above 0 and below 1.
    tp1_ext, tp2_ext : float
        Extensions of the targets, multiples of the leg from its origin, above 1 and ascending.
    min_leg_atr : float
        Smallest leg, ATRs at its end.
    max_distance_atr : float
        Largest distance of the close from the entry, ATRs.
    stop_at : str
        ``swing``: the stop lies beyond the leg's origin; ``level``: beyond its 0.786 retracement.
    use_avwap : bool
        Whether the close must be beyond the leg's AVWAP, on the side of the trade.
    lookback_candles : int
        Candles since a leg's origin after which it is too old.
    atr_period : int
        Candles of Wilder's ATR.
    atr_mult_sl : float
        The stop lies half of this many ATRs beyond its level.
    rr_min : float
        Smallest reward to risk at the first target, R.
    min_tp_net_pct : float
        Smallest gain at the first target after the fees of entry and target, percent of the entry.
    costs : CostModel
        Fee rates, percent.

    Raises
    ------
    ValueError
        A value with which no plan can be made, named in one line.

    Notes
    -----
    For an up leg from the swing low L (candle a) to the swing high H (candle b), ``D = H - L``:
    ``entry = H - entry_level * D``, ``sl = L - atr_mult_sl / 2 * ATR[t]``, ``tp1 = H + (tp1_ext - 1) * D``,
    ``tp2 = H + (tp2_ext - 1) * D``, rounded to the tick before any comparison: entry and targets towards less
    profit, stop away from the entry. A down leg is the mirror image.

    Legs are drawn between consecutive swing pivots, alternating by reducing each run of one kind to its most
    extreme (the earliest of equals). Exactly:

    - the newest legs are counted on that sequence, up and down and of any size: `min_leg_atr` disqualifies a leg
      and makes no room for an older one. A pivot that moves further makes a new leg in the old one's place;
    - the first run of pivots in the data may have begun before it, and never anchors a leg;
    - a leg is known at the close of ``b + piv_window``. It dies when, at a candle j after b, ``low[j] <= entry``
      or ``high[j] > tp1``; when a candle after a closes below L; and when ``t - a > lookback_candles``. About a
      third of large enough legs touch the entry before they are known, and are no candidates;
    - it decides at the first close t with ``0 <= close[t] - entry <= max_distance_atr * ATR[t]``, reward to risk
      and net gain as required, and ``close[t]`` above the AVWAP where that is asked; unknown values (NaN) and
      plans with a price at or below zero do not decide.

    ``confidence`` is the rule's opinion, not a probability: the mean of the confluence, ``1 - d / 3`` with d the
    distance of entry and AVWAP in ATRs (at least 0, and 0 without AVWAP), and of the trend's agreement: 1 or 0 in
    a trending market whose DI point with or against the trade, 0.5 otherwise.

    After `warmup` candles results do not depend on where they begin, if two runs of pivots lie in them.

    References
    ----------
    Pesavento, L. (1997). Fibonacci Ratios with Pattern Recognition, Traders Press.
    Shannon, B. (2023). Maximum Trading Gains with Anchored VWAP, Alphatrends.
    Wilder, J. W. (1978). New Concepts in Technical Trading Systems.

    Examples
    --------
    >>> setup = FiboAvwap(piv_window=3)
    >>> setup.name, setup.warmup
    ('fibo_avwap', 900)
    >>> setup.find(Candles.empty(), Instrument("bitget", "BTC/USDT:USDT", tick=0.1), "1h").empty
    True
    """

    piv_window: int = 5
    anchors_to_consider: int = 3
    entry_level: float = 0.618
    tp1_ext: float = 1.272
    tp2_ext: float = 1.618
    min_leg_atr: float = 3.0
    max_distance_atr: float = 3.0
    stop_at: str = "swing"
    use_avwap: bool = True
    lookback_candles: int = 300
    atr_period: int = 14
    atr_mult_sl: float = 1.5
    rr_min: float = 1.0
    min_tp_net_pct: float = 0.3
    costs: CostModel = field(default=CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02))
    name: str = field(default="fibo_avwap", init=False)
    warmup: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for whole in ("piv_window", "anchors_to_consider", "lookback_candles", "atr_period"):
            require_whole(whole, getattr(self, whole), 1)
        require_choice("stop_at", self.stop_at, ("swing", "level"))
        require_number("entry_level", self.entry_level, 0.0, self._stop_level, open_ends=True)
        require_number("tp1_ext", self.tp1_ext, 1.0, open_ends=True)
        require_number("tp2_ext", self.tp2_ext, self.tp1_ext, open_ends=True)
        for number in ("min_leg_atr", "max_distance_atr", "atr_mult_sl", "rr_min"):
            require_number(number, getattr(self, number), 0.0)
        require_number("min_tp_net_pct", self.min_tp_net_pct, -math.inf)
        require_flag("use_avwap", self.use_avwap)
        for name in (f.name for f in fields(self) if f.type == "float"):
            object.__setattr__(self, name, float(getattr(self, name)))  # a whole number in YAML is still a number
        # The regime and a slow ATR have memories of their own, longer than that of a short look-back.
        smoothed = self.lookback_candles + WILDER_MEMORY * self.atr_period
        object.__setattr__(self, "warmup", max(2 * self.lookback_candles + 300, smoothed, REGIME_WARMUP))

    def params(self) -> dict[str, Any]:
        """Return the parameters that fix its plans, as plain JSON values."""
        values = asdict(self) | {"costs": self.costs.params()}
        return {key: value for key, value in values.items() if key not in ("name", "warmup")}

    def find(self, candles: Candles, instrument: Instrument, timeframe: str, first: int = 0) -> pd.DataFrame:
        """Return the candidates decided at candle `first` or later.

        Parameters and result are those of `core.ports.Setup`; prices are rounded to the instrument's tick, or to
        6 significant digits where it has none.
        """
        atr = wilder_atr(candles.high, candles.low, candles.close, self.atr_period)
        tick = math.nan if instrument.tick is None else instrument.tick
        found = self._affordable(self._pullbacks(candles, atr, tick, first))
        if len(found.t) == 0:
            return empty_frame(CANDIDATES)
        return self._candidates(candles, atr[found.t], found, timeframe)

    def why_not(self, candles: Candles, instrument: Instrument, timeframe: str, at: int) -> list[NoCandidate]:
        """Return the legs that are no candidates at the close of candle `at`, see `core.ports.ExplainingSetup`."""
        seen = candles.slice(0, at + 1)
        atr = wilder_atr(seen.high, seen.low, seen.close, self.atr_period)
        asked = self._asked(seen, atr, math.nan if instrument.tick is None else instrument.tick)
        legs = newest_legs(*asked)
        if not legs:
            return [NoCandidate("no leg", "", 0, 0, (nothing_yet(len(seen), self.piv_window),))]
        found = []
        for leg in legs:
            (net_pct,) = self._tp1_net_pct(*(np.array([value]) for value in (leg.side, leg.entry, leg.tp1)))
            why = lacks(leg, seen, timeframe, atr, *asked[-2:], (float(net_pct), self.min_tp_net_pct))
            if why:
                direction, ends = "long" if leg.side > 0 else "short", (int(seen.ts[leg.a]), int(seen.ts[leg.b]))
                found.append(NoCandidate(leg_text(leg, seen), direction, *ends, tuple(why)))
        return found

    @property
    def _stop_level(self) -> float:
        return 1.0 if self.stop_at == "swing" else DEEP_RETRACEMENT

    def _pullbacks(self, candles: Candles, atr: FloatArray, tick: float, first: int) -> Pullbacks:
        return find_pullbacks(*self._asked(candles, atr, tick), first)

    def _asked(
        self, candles: Candles, atr: FloatArray, tick: float
    ) -> tuple[Prices, IntArray, IntArray, LegRules, PullbackRules]:
        """Return what the kernel is asked with."""
        pivots, sides = swing_pivots(candles.high, candles.low, self.piv_window)
        leg_rules = LegRules(
            self.anchors_to_consider, self.min_leg_atr, self.entry_level, self.tp1_ext, self.tp2_ext, tick
        )
        rules = PullbackRules(
            window=self.piv_window,
            lookback=self.lookback_candles,
            max_distance_atr=self.max_distance_atr,
            stop_level=self._stop_level,
            stop_atr=STOP_BUFFER * self.atr_mult_sl,
            rr_min=self.rr_min,
            use_avwap=self.use_avwap,
        )
        prices = Prices(candles.high, candles.low, candles.close, candles.volume, atr)
        return prices, pivots, sides, leg_rules, rules

    def _affordable(self, found: Pullbacks) -> Pullbacks:
        # Entry and target of a leg never change, so asking once, after the scan, is asking at every close.
        worth = self._tp1_net_pct(found.side, found.entry, found.tp1) >= self.min_tp_net_pct
        return found.where(worth)

    def _tp1_net_pct(self, side: IntArray, entry: FloatArray, tp1: FloatArray) -> FloatArray:
        net_pct: FloatArray = 100.0 * side * (tp1 - entry) / entry - self.costs.resting_round_trip_pct(entry, tp1)
        return net_pct

    def _candidates(self, candles: Candles, atr: FloatArray, found: Pullbacks, timeframe: str) -> pd.DataFrame:
        trend, volatility = regime_at(candles, found.t)
        leaning = _leaning(candles, found)
        agreement = np.where(np.array(trend) == "trend", (1.0 + leaning) / 2.0, 0.5)
        distance_atr = np.abs(found.entry - found.avwap) / atr
        confluence = np.nan_to_num(np.clip(1.0 - distance_atr / NO_CONFLUENCE_ATR, 0.0, 1.0), nan=0.0)
        up, risk = found.side > 0, found.side * (found.entry - found.sl)
        columns = {
            "ts_ms": candles.ts[found.t],
            "decided_ms": candles.ts[found.t] + timeframe_ms(timeframe),
            "direction": np.where(up, "long", "short").tolist(),
            "order_type": "limit",
            "entry": found.entry,
            "sl": found.sl,
            "tp1": found.tp1,
            "tp2": found.tp2,
            "atr": atr,
            "confidence": (confluence + agreement) / 2.0,
            "anchor_a_ms": candles.ts[found.a],
            "anchor_b_ms": candles.ts[found.b],
            "regime_trend": trend,
            "regime_vol": volatility,
            # measures that only the plan and the words tell
            "a_price": np.where(up, candles.low[found.a], candles.high[found.a]),
            "b_price": np.where(up, candles.high[found.b], candles.low[found.b]),
            "avwap": found.avwap,
            "distance_atr": distance_atr,
            "leaning": leaning,
            "rr1": found.side * (found.tp1 - found.entry) / risk,
            "rr2": found.side * (found.tp2 - found.entry) / risk,
            "net_pct": self._tp1_net_pct(found.side, found.entry, found.tp1),
            "fees_pct": self.costs.resting_round_trip_pct(found.entry, found.tp1),
        }
        columns |= {"plan": self._plans(columns), "rationale": rationales(columns, self.entry_level)}
        return frame_of(columns, len(found.t), CANDIDATES)

    def _plans(self, columns: Mapping[str, Any]) -> list[str]:
        a, b = columns["a_price"], columns["b_price"]
        levels = {f"{level:g}": b - level * (b - a) for level in sorted({*SHOWN_RETRACEMENTS, self.entry_level})}
        levels |= {f"ext {level:g}": a + level * (b - a) for level in (self.tp1_ext, self.tp2_ext)}
        leg = {name: columns[column].tolist() for name, column in _LEG.items()}
        leg["direction"] = ['"up"' if rises else '"down"' for rises in b > a]
        fib = {name: stored_digits(prices) for name, prices in levels.items()}
        measures = {name: stored_digits(columns[column]) for name, column in _MEASURES.items()}
        # Written by the thousand: the frame around the numbers is made once.
        holes = {"leg": dict.fromkeys(leg, "%s"), "fib": dict.fromkeys(fib, "%s"), **dict.fromkeys(measures, "%s")}
        frame = json.dumps({"setup": self.name, **holes}).replace('"%s"', "%s")
        return [frame % row for row in zip(*leg.values(), *fib.values(), *measures.values(), strict=True)]


def _leaning(candles: Candles, found: Pullbacks) -> FloatArray:
    """Return 1 where the DI point with the trade, -1 where against it, 0 where neither or not known."""
    _, plus_di, minus_di = wilder_adx(candles.high, candles.low, candles.close, REGIME_PERIOD)
    leaning: FloatArray = np.nan_to_num(np.sign(plus_di - minus_di)[found.t] * found.side, nan=0.0)
    return leaning
