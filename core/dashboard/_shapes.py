"""Shapes over the price: legs between swings, levels of a leg, order blocks, regimes.

The law: pure; each is drawn as it could be seen once its candles had closed.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from core.dashboard._axis import Axis, Option, line
from core.dashboard._theme import Palette
from core.schema import Candles

__all__ = [
    "SHAPES",
    "Leg",
    "fibonacci",
    "last_leg",
    "legs_of",
    "order_blocks",
    "regime_bands",
    "swing_legs",
]

SHAPES = {
    "Anchored VWAP": "Volume-weighted mean price since the start of the chosen signal's leg, or of the last swing",
    "Fibonacci": "Retracements and extensions of the chosen signal's leg, or of the last leg between swings",
    "Swing legs": "Highs and lows that stand out from five candles on either side, joined",
    "Order blocks": "The last candle against the move before a leg of at least three ATR, until price returns to it",
    "Regime": "Where Wilder's ADX(14) calls the market a trend",
    "Volume profile": "Volume by price over the run: POC, the price traded most, and the 70 % around it",
}
"""What can be laid over the price besides lines, and what each is."""

_PIVOT = 5
_RATIOS = (0.0, 0.236, 0.382, 0.5, 0.618, 0.786, 1.0, 1.272, 1.618)
_BLOCK_ATR, _BLOCKS = 3.0, 8

Leg = tuple[tuple[int, float], tuple[int, float]]


def legs_of(candles: Candles) -> list[tuple[int, float]]:
    """Return the alternating swings of a run as (position, price): of several highs in a row the highest counts."""
    from core.indicators.swings import swing_pivots

    positions, kinds = swing_pivots(candles.high, candles.low, _PIVOT)
    found: list[tuple[int, float, int]] = []
    for place, kind in zip(positions.tolist(), kinds.tolist(), strict=True):
        price = float(candles.high[place] if kind > 0 else candles.low[place])
        if found and found[-1][2] == kind:
            if kind * price <= kind * found[-1][1]:
                continue
            found.pop()
        found.append((place, price, kind))
    return [(place, price) for place, price, _ in found]


def last_leg(candles: Candles) -> Leg | None:
    """Return the last leg between two swings as two (open time, price); None where there is none."""
    swings = legs_of(candles)
    if len(swings) < 2:
        return None
    (a, from_price), (b, to_price) = swings[-2:]
    return (int(candles.ts[a]), from_price), (int(candles.ts[b]), to_price)


def swing_legs(candles: Candles, axis: Axis, look: Palette) -> list[Option]:
    """Return the series that joins the swings."""
    points = [[axis.labels[place], price] for place, price in legs_of(candles)]
    return [line("Swing legs", points, look.leg, 3)]


def fibonacci(axis: Axis, leg: Leg, look: Palette) -> list[Option]:
    """Return the series of the levels of a leg, from its end back to its start and beyond its end."""
    (a_ms, a_price), (b_ms, b_price) = leg
    start, end = axis.clip(a_ms), axis.labels[-1]
    series = [line("Fibonacci", [[start, a_price], [axis.clip(b_ms), b_price]], look.leg, 3)]
    data = []
    for ratio in _RATIOS:
        price = b_price - ratio * (b_price - a_price) if ratio <= 1.0 else a_price + ratio * (b_price - a_price)
        label: Option = {"formatter": f"{ratio:g}", "position": "insideStartTop", "color": look.faint, "fontSize": 10}
        data.append([{"coord": [start, price], "label": label}, {"coord": [end, price]}])
    series[0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "lineStyle": {"color": look.faint, "type": "dotted", "width": 1},
        "data": data,
    }
    return series


def order_blocks(candles: Candles, axis: Axis, look: Palette) -> list[Option]:
    """Return the series of the newest order blocks that price has not returned to.

    Notes
    -----
    For a leg of at least three ATR between two swings: the last candle that closed against it, at or before the leg's
    start plus three candles. It is over once a later candle trades beyond its middle.
    """
    from core.indicators.volatility import wilder_atr

    atr = wilder_atr(candles.high, candles.low, candles.close, 14)
    swings = legs_of(candles)
    blocks: list[list[Option]] = []
    for (a, from_price), (b, to_price) in pairwise(swings):
        up = to_price > from_price
        if not abs(to_price - from_price) >= _BLOCK_ATR * atr[a]:
            continue
        against = (candles.close < candles.open) if up else (candles.close > candles.open)
        near = [place for place in range(max(0, a - 3), min(a + 3, b)) if against[place]]
        if not near:
            continue
        place = near[-1]
        low, high = float(candles.low[place]), float(candles.high[place])
        middle = (low + high) / 2.0
        later = candles.low[b + 1 :] < middle if up else candles.high[b + 1 :] > middle
        back = np.flatnonzero(later)
        if len(back):
            continue
        colour = look.up if up else look.down
        blocks.append(
            [
                {"xAxis": axis.labels[place], "yAxis": low, "itemStyle": {"color": colour, "opacity": 0.16}},
                {"xAxis": axis.labels[-1], "yAxis": high},
            ]
        )
    return [_areas("Order blocks", blocks[-_BLOCKS:], look.up)]


def regime_bands(candles: Candles, axis: Axis, look: Palette) -> list[Option]:
    """Return the series that shades where the market trended."""
    from core.indicators.regime import regime_at

    trend, _ = regime_at(candles, np.arange(len(candles)))
    on = np.array([word == "trend" for word in trend])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], on, [False]]).astype(np.int8)))
    style: Option = {"itemStyle": {"color": look.series[4], "opacity": 0.07}}
    bands = [
        [{"xAxis": axis.labels[first], **style}, {"xAxis": axis.labels[end - 1]}]
        for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    return [_areas("Regime", bands, look.series[4])]


def _areas(name: str, areas: list[list[Option]], colour: str) -> Option:
    """Return a series that has nothing but areas."""
    return {**line(name, [], colour, 1), "markArea": {"silent": True, "data": areas}}
