"""The pullback setup in words: why a plan was made, and what a leg lacks for one.

The law: words follow from numbers that are handed in; each condition that is not met is told with what was measured
and what was needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from core.clock import timeframe_ms
from core.indicators.fibo import LegState, PullbackRules
from core.indicators.legs import LegRules
from core.schema import Candles, FloatArray
from core.setups._base import date_texts, price_text

__all__ = ["lacks", "leg_text", "nothing_yet", "rationales"]

_PRICES = ("a_price", "b_price", "entry", "sl", "tp1", "tp2", "avwap")
_FIGURES = ("distance_atr", "leaning", "rr1", "rr2", "net_pct", "fees_pct")
_WORDS = ("direction", "regime_trend", "regime_vol")
_WAYS = {1.0: "trends this way", -1.0: "trends the other way", 0.0: "trends without direction"}


def rationales(columns: Mapping[str, Any], entry_level: float) -> list[str]:
    """Return why each plan was made.

    Parameters
    ----------
    columns : mapping of str to array-like, shape (n,)
        Columns of candidates, their legs and measures.
    entry_level : float
        Retracement of the entry.
    """
    texts = {name: list(map(price_text, columns[name].tolist())) for name in _PRICES}
    texts |= {name: date_texts(columns[name]) for name in ("anchor_a_ms", "anchor_b_ms")}
    texts |= {name: columns[name].tolist() for name in _FIGURES}
    texts |= {name: columns[name] for name in _WORDS}
    return [_rationale(dict(zip(texts, row, strict=True)), entry_level) for row in zip(*texts.values(), strict=True)]


def _rationale(row: Mapping[str, Any], entry_level: float) -> str:
    leg = "up" if row["direction"] == "long" else "down"
    beside = "Nothing has traded since the leg began, so it has no AVWAP"
    if not math.isnan(row["distance_atr"]):
        beside = f"The entry is {row['distance_atr']:.1f} ATR from the leg's AVWAP at {row['avwap']}"
    trend = {"trend": _WAYS[row["leaning"]], "range": "ranges"}.get(row["regime_trend"], "has no known trend")
    return (
        f"{row['direction'].capitalize()} at the {entry_level:g} pullback of the {leg} leg from"
        f" {row['a_price']} ({row['anchor_a_ms']}) to {row['b_price']} ({row['anchor_b_ms']} UTC): entry"
        f" {row['entry']}, stop {row['sl']}, targets {row['tp1']} and {row['tp2']}, R:R {row['rr1']:.2f} and"
        f" {row['rr2']:.2f}. {beside}; the market {trend}, its volatility is {row['regime_vol']}; TP1 brings"
        f" {row['net_pct']:.2f} % after {row['fees_pct']:.2f} % of fees."
    )


def nothing_yet(candles: int, window: int) -> str:
    """Return what is lacking where no leg is known."""
    return (
        f"no leg is known in {candles:,} candles: it takes a swing high and a swing low, and a swing point is known "
        f"{_count(window)} late"
    )


def leg_text(leg: LegState, candles: Candles) -> str:
    """Return what a leg is called."""
    a, b = (_opened(candles, position) for position in (leg.a, leg.b))
    kind = "up" if leg.side > 0 else "down"
    return f"{kind} leg from {price_text(leg.origin)} ({a}) to {price_text(leg.end)} ({b} UTC)"


def lacks(
    leg: LegState,
    candles: Candles,
    timeframe: str,
    atr: FloatArray,
    leg_rules: LegRules,
    rules: PullbackRules,
    net_pct: tuple[float, float],
) -> list[str]:
    """Return what a leg lacks for a candidate at the last close.

    Parameters
    ----------
    leg : LegState
    candles : Candles
        Up to the close that is asked about.
    timeframe : str
    atr : float64 array, shape (n,)
    leg_rules : LegRules
    rules : PullbackRules
    net_pct : tuple of float
        What the first target brings after fees, percent, and the least it has to.

    Returns
    -------
    list of str
        None where its plan holds at this close for the first time.
    """
    last = len(candles) - 1
    brings, least = net_pct
    cheap = (
        [] if brings >= least else [f"its first target brings {brings:.2f} % after fees; at least {least:g} % is asked"]
    )
    if leg.planned_at == last or (cheap and leg.planned_at >= 0):
        return cheap
    if leg.planned_at >= 0:
        closed = int(candles.ts[leg.planned_at]) + timeframe_ms(timeframe)
        return [f"it gave its candidate at {date_texts(np.array([closed]))[0]} UTC already; a leg gives one at most"]
    dead = [*_never(leg, atr, leg_rules), *_dead(leg, candles, rules)]
    return (
        [*dead, *cheap] if dead else [*_at_this_close(leg, float(candles.close[last]), float(atr[last]), rules), *cheap]
    )


def _never(leg: LegState, atr: FloatArray, rules: LegRules) -> Iterator[str]:
    """Yield why a leg never was one to plan on."""
    size, usual = leg.side * (leg.end - leg.origin), float(atr[leg.b])
    if not leg.may_anchor:
        yield "its first swing point may not be the extreme of its run: the run began before the candles did"
    if math.isnan(usual):
        yield "its size cannot be told: the ATR at its end is not known yet"
    elif not (size > 0.0 and size >= rules.min_leg_atr * usual):
        yield f"its size is {size / usual:.1f} ATR; at least {rules.min_leg_atr:g} ATR is asked"


def _dead(leg: LegState, candles: Candles, rules: PullbackRules) -> Iterator[str]:
    """Yield what has ended a leg."""
    age = len(candles) - 1 - leg.a
    beyond, above = ("below", "above") if leg.side > 0 else ("above", "below")
    if age > rules.lookback:
        yield f"it began {age} candles ago; at most {rules.lookback} are allowed"
    if leg.passed_at >= 0:
        yield f"the candle of {_opened(candles, leg.passed_at)} UTC closed {beyond} its origin"
    for position, told in (
        (leg.touched_at, f"touched the entry at {price_text(leg.entry)}"),
        (leg.exceeded_at, f"traded {above} the first target at {price_text(leg.tp1)}"),
    ):
        if position >= 0:
            late = (
                f", before its end was known, {_count(rules.window)} late" if position <= leg.b + rules.window else ""
            )
            yield f"the candle of {_opened(candles, position)} UTC {told}{late}"


def _at_this_close(leg: LegState, close: float, atr: float, rules: PullbackRules) -> Iterator[str]:
    """Yield what a living leg lacks now and may yet get."""
    away, reach = leg.side * (close - leg.entry), rules.max_distance_atr * atr
    if not 0.0 <= away <= reach:
        most = f"at most {rules.max_distance_atr:g} ATR is allowed"
        yield f"the close is {away / atr:.1f} ATR from the entry at {price_text(leg.entry)}; {most}"
    if not min(leg.sl, leg.tp2) > 0.0:
        yield "its stop or its last target would lie at or below zero"
    risk, reward = leg.side * (leg.entry - leg.sl), leg.side * (leg.tp1 - leg.entry)
    if not (risk > 0.0 and reward > 0.0):
        yield "stop, entry and target do not lie apart on the exchange's price steps"
    elif not reward / risk >= rules.rr_min:
        yield f"reward to risk at its first target is {reward / risk:.2f}; at least {rules.rr_min:g} is asked"
    if rules.use_avwap and not leg.side * (close - leg.avwap) > 0.0:
        if math.isnan(leg.avwap):
            yield "nothing has traded since it began, so it has no AVWAP"
        else:
            side = "above" if leg.side > 0 else "below"
            yield f"the close at {price_text(close)} is not {side} its AVWAP at {price_text(leg.avwap)}"


def _opened(candles: Candles, position: int) -> str:
    return date_texts(candles.ts[position : position + 1])[0]


def _count(candles: int) -> str:
    return f"{candles} candle{'' if candles == 1 else 's'}"
