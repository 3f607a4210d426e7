"""The replay's charts as data: candles up to a moment on an axis that does not move, live plans, results so far.

The law: pure; nothing after the moment is drawn.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from core.clock import timeframe_ms
from core.dashboard._axis import LEGEND, Axis, Option
from core.dashboard._charts import candle_chart
from core.dashboard._theme import Palette
from core.results.replaying import Earned
from core.schema import Candles

__all__ = ["earned_chart", "stage_chart"]

_SHOWN = 160  # candles in view
_MARKS = {"FILL": ("Filled", "circle", "neutral"), "TARGET": ("Target hit", "diamond", "good")}
_LEFT = dict.fromkeys(("SL", "TP", "TP1_TRAIL", "TIMEOUT", "POLICY", "DELISTED"), ("Left", "rect", "bad"))


def stage_chart(
    candles: Candles,
    timeframe: str,
    at_ms: int,
    plans: pd.DataFrame,
    events: pd.DataFrame,
    look: Palette,
) -> Option:
    """Return the option of the candles closed by a moment, with the plans alive then and what had happened.

    Parameters
    ----------
    candles : Candles
        Oldest first.
    timeframe : str
    at_ms : int
    plans : pandas.DataFrame
        Signals decided by then, with columns ts_ms, direction, entry, sl, tp1 and state (`replaying.KNOWN_THEN`).
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`; later ones are left out.
    look : Palette
    """
    step = timeframe_ms(timeframe)
    seen = candles.slice(0, int(np.searchsorted(candles.ts, at_ms - step, side="right")))
    seen = seen.slice(max(0, len(seen) - _SHOWN))
    axis = Axis(seen, timeframe, room=8)
    shown = plans[plans["ts_ms"] >= int(seen.ts[0])]
    overlay = [line for plan in shown.to_dict("records") for line in _levels(axis, plan, look)]
    overlay += _happened(axis, events[(events["ts_ms"] < at_ms) & (events["ts_ms"] >= int(seen.ts[0]))], look)
    option = candle_chart(seen, axis, shown, overlay, zoom_start=0, look=look)
    return {**option, "dataZoom": [], "legend": {**LEGEND, "left": 12, "show": False}}


def _levels(axis: Axis, plan: dict[Any, Any], look: Palette) -> list[Option]:
    """Draw the levels of a plan that still waits or is open."""
    if plan["state"] not in ("waiting", "open"):
        return []
    start, end = axis.clip(int(plan["ts_ms"])), axis.labels[-1]
    kind = "dotted" if plan["state"] == "waiting" else "solid"
    return [
        {
            "type": "line",
            "name": name,
            "data": [[start, float(plan[column])], [end, float(plan[column])]],
            "symbol": "none",
            "silent": True,
            "tooltip": {"show": False},
            "lineStyle": {"color": colour, "width": 1.5, "type": kind},
        }
        for name, column, colour in (
            ("Entry", "entry", look.neutral),
            ("Stop", "sl", look.bad),
            ("TP1", "tp1", look.good),
        )
        if math.isfinite(float(plan[column]))
    ]


def _happened(axis: Axis, events: pd.DataFrame, look: Palette) -> list[Option]:
    series: dict[str, Option] = {}
    for event in events.to_dict("records"):
        place, price = axis.at(int(event["ts_ms"])), float(event["price"])
        kind = str(event["kind"])
        if place is None or not math.isfinite(price) or kind not in {**_MARKS, **_LEFT}:
            continue
        name, shape, colour = {**_MARKS, **_LEFT}[kind]
        one = series.setdefault(
            name,
            {
                "type": "scatter",
                "name": name,
                "symbol": shape,
                "symbolSize": 10,
                "itemStyle": {"color": getattr(look, colour), "borderColor": look.background, "borderWidth": 1},
                "tooltip": {"show": False},
                "data": [],
                "z": 6,
            },
        )
        one["data"].append([place, price])
    return list(series.values())


def earned_chart(earned: Earned, at_ms: int, start_ms: int, end_ms: int, look: Palette) -> Option:
    """Return the option of the results so far, on the axis of the whole period."""
    steps = [[int(ms), round(float(r), 4)] for ms, r in zip(earned.ts_ms, earned.total_r, strict=True)]
    points = [[start_ms, 0.0], *steps, [at_ms, steps[-1][1] if steps else 0.0]]
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 12, "right": 72, "top": 30, "bottom": 24},
        "legend": {**LEGEND, "left": 8},
        "tooltip": {"trigger": "axis", "valueFormatter": "%+.2f R"},
        "xAxis": {"type": "time", "min": start_ms, "max": end_ms, "axisLine": {"lineStyle": {"color": look.grid}}},
        "yAxis": {
            "type": "value",
            "position": "right",
            "scale": True,
            "axisLabel": {"formatter": "{value} R"},
            "splitLine": {"lineStyle": {"color": look.grid}},
        },
        "series": [
            {
                "type": "line",
                "name": "Results so far, R",
                "step": "end",
                "showSymbol": False,
                "data": points,
                "itemStyle": {"color": look.up},
                "areaStyle": {"opacity": 0.15},
            }
        ],
    }
