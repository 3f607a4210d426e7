"""Open trades as a chart: each between its stop and its targets, in R.

The law: pure; what is drawn was counted by `core.results.positions`.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from core.dashboard._axis import LEGEND, Option, line
from core.dashboard._theme import Palette

__all__ = ["progress_chart", "progress_height"]

_ROW = 38
_BAR = {"opacity": 0.35, "cap": "round"}


def progress_height(n: int) -> int:
    """Return the height of the chart of `n` trades, pixels."""
    return 84 + _ROW * max(1, n)


def progress_chart(rows: pd.DataFrame, look: Palette) -> Option:
    """Return the option that shows where each trade stands between its stop and its targets.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `positions.POSITIONS`; at least one.
    look : Palette
    """
    told = rows.iloc[::-1].to_dict("records")
    names = [f"#{row['signal_id']} {row['symbol'].split(':')[0]} {row['timeframe']} {row['direction']}" for row in told]
    lost: list[list[Any]] = []
    won: list[list[Any]] = []
    for name, row in zip(names, told, strict=True):
        reach = max(level for level in (row["tp1_r"], row["tp2_r"]) if math.isfinite(level))
        lost += [[min(row["stop_r"], 0.0), name], [0.0, name], ["-", "-"]]
        won += [[max(row["stop_r"], 0.0), name], [reach, name], ["-", "-"]]
    targets = [
        [row[level], name]
        for name, row in zip(names, told, strict=True)
        for level in ("tp1_r", "tp2_r")
        if math.isfinite(row[level])
    ]
    now = [[row["price_r"], name] for name, row in zip(names, told, strict=True) if math.isfinite(row["price_r"])]
    stops = [[row["stop_r"], name] for name, row in zip(names, told, strict=True)]
    dots: Option = {"type": "scatter", "tooltip": {"valueFormatter": "%+.2f R"}}
    return {
        "animation": False,
        "grid": {"left": 8, "right": 24, "top": 36, "bottom": 8, "containLabel": True},
        "legend": {**LEGEND, "left": 4, "data": ["Stop", "Target", "Price now"]},
        "tooltip": {"trigger": "item"},
        "xAxis": {
            "type": "value",
            "axisLabel": {"formatter": "{value} R"},
            "splitLine": {"lineStyle": {"color": look.grid}},
        },
        "yAxis": {"type": "category", "data": names, "axisTick": {"show": False}},
        "series": [
            line("At risk", lost, look.bad, 2, 6, **_BAR),
            line("To the targets", won, look.good, 2, 6, **_BAR),
            {**dots, "name": "Stop", "data": stops, "symbol": "rect", "symbolSize": [4, 16], "color": look.bad},
            {**dots, "name": "Target", "data": targets, "symbol": "diamond", "symbolSize": 11, "color": look.good},
            {**dots, "name": "Price now", "data": now, "symbolSize": 13, "color": look.up, "z": 5},
        ],
    }
