"""The chosen signal on its chart: the leg it came from, its levels, and what happened.

The law: pure; only what the signal, its trade and its events say is drawn, within the candles that are shown.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from core.dashboard._axis import Axis, Option, line
from core.dashboard._theme import Palette

__all__ = ["levels", "plan_leg", "plan_overlay", "price_text"]

# Name, shape, and which colour of the palette.
_EVENT_LOOKS = {
    "FILL": ("Filled", "circle", "neutral"),
    "TARGET": ("Target hit", "diamond", "good"),
    "TP": ("Target hit", "diamond", "good"),
    "SL": ("Stopped", "rect", "bad"),
    "TP1_TRAIL": ("Stopped in profit", "rect", "good"),
    "TIMEOUT": ("Left", "pin", "neutral"),
    "POLICY": ("Left", "pin", "neutral"),
    "DELISTED": ("Left", "pin", "neutral"),
}


def price_text(price: float) -> str:
    """Write a price with every digit that matters and no exponent, ready to be copied.

    Examples
    --------
    >>> price_text(0.00001234), price_text(42100.5), price_text(65000.0)
    ('0.00001234', '42100.5', '65000')
    """
    if not math.isfinite(price):
        return "-"
    text = f"{price:.12f}" if abs(price) < 1 else f"{price:.8f}"
    return text.rstrip("0").rstrip(".")


def levels(signal: pd.Series) -> list[tuple[str, float, str]]:
    """Return the levels of a plan that exist: name, price, and the name of their colour in the palette."""
    named = [
        ("Entry", signal["entry"], "neutral"),
        ("Stop", signal["sl"], "bad"),
        ("TP1", signal["tp1"], "good"),
        ("TP2", signal["tp2"], "good"),
    ]
    return [(name, float(price), colour) for name, price, colour in named if math.isfinite(price)]


def plan_leg(plan: str) -> tuple[tuple[int, float], tuple[int, float]] | None:
    """Return both ends of the leg a plan was made of, as (open time of the candle, price).

    Parameters
    ----------
    plan : str
        The JSON of a signal's `plan`.

    Returns
    -------
    tuple or None
        None when the setup has no leg.
    """
    told = json.loads(plan) if plan else {}
    leg = told.get("leg") if isinstance(told, dict) else None
    if not isinstance(leg, dict) or not {"a_ms", "a_price", "b_ms", "b_price"} <= leg.keys():
        return None
    return (int(leg["a_ms"]), float(leg["a_price"])), (int(leg["b_ms"]), float(leg["b_price"]))


def _level(name: str, price: float, colour: str, start: str, end: str, look: Palette) -> Option:
    """A level: solid while the plan lasts, dotted across the chart to a tag beside the axis."""
    tag: Option = {
        "position": "end",
        "formatter": f"{name} {price_text(price)}",
        "color": look.background,
        "backgroundColor": colour,  # filled, so that it stands before the price it covers
        "borderRadius": 2,
        "padding": [4, 6],
        "fontSize": 11,
    }
    across: Option = {
        "silent": True,
        "symbol": "none",
        "label": tag,
        "lineStyle": {"color": f"{colour}73", "type": "dotted", "width": 1},
        "data": [{"yAxis": price}],
    }
    return {**line(name, [[start, price], [end, price]], colour, 4, 1.5), "markLine": across}


def _box(start: str, end: str, low: float, high: float, colour: str) -> list[Option]:
    return [
        {"xAxis": start, "yAxis": low, "itemStyle": {"color": colour, "opacity": 0.12}},
        {"xAxis": end, "yAxis": high},
    ]


def _happenings(axis: Axis, events: pd.DataFrame, look: Palette) -> list[Option]:
    by_name: dict[str, tuple[str, str, list[list[Any]]]] = {}
    for event in events.itertuples(index=False):
        kind, price, ts = str(event.kind), float(event.price), int(event.ts_ms)  # type: ignore[arg-type]
        label = axis.at(ts)
        if kind in _EVENT_LOOKS and math.isfinite(price) and label is not None:
            name, shape, colour = _EVENT_LOOKS[kind]
            by_name.setdefault(name, (shape, getattr(look, colour), []))[2].append([label, price])
    return [
        {
            "type": "scatter",
            "name": name,
            "data": points,
            "symbol": shape,
            "symbolSize": 13,
            "itemStyle": {"color": colour, "borderColor": look.background, "borderWidth": 2},
            "tooltip": {"show": False},
            "z": 6,
        }
        for name, (shape, colour, points) in by_name.items()
    ]


def plan_overlay(axis: Axis, signal: pd.Series, end_ms: int, events: pd.DataFrame, look: Palette) -> list[Option]:
    """Return the series that draw a signal: leg, levels, risk and reward, fills and exits.

    Parameters
    ----------
    axis : Axis
        Of the chart's candles.
    signal : pandas.Series
        One row of `schema.SIGNALS`.
    end_ms : int
        How far the plan reaches to the right: its trade's end, or the end of its validity.
    events : pandas.DataFrame
        Its trade's events, `schema.TRADE_EVENTS`.
    look : Palette
    """
    start, end = axis.clip(int(signal["ts_ms"])), axis.clip(end_ms)
    series = [_level(name, price, getattr(look, colour), start, end, look) for name, price, colour in levels(signal)]
    entry, reach = float(signal["entry"]), levels(signal)[-1][1]
    series[0]["markArea"] = {
        "silent": True,
        "data": [_box(start, end, entry, reach, look.good), _box(start, end, float(signal["sl"]), entry, look.bad)],
    }
    leg = plan_leg(str(signal["plan"]))
    if leg is not None:
        ends = [[axis.at(ts), price] for ts, price in leg]
        if all(label is not None for label, _ in ends):
            series.append(line("Leg", ends, look.leg, 4, 1.5, type="dashed"))
    return series + _happenings(axis, events, look)
