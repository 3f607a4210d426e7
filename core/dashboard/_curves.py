"""Charts of results as data: balances with their drawdowns, groups with their intervals.

The law: pure; what is drawn was counted by `core.results`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.clock import DAY_MS
from core.dashboard._axis import LEGEND, Option, zoom
from core.dashboard._theme import Palette
from core.results.equity import Curve
from core.results.holding import Held
from core.schema import FloatArray, IntArray

__all__ = ["curve_chart", "interval_chart"]


def curve_chart(
    curve: Curve,
    name: str,
    colour: str,
    percent: bool,
    look: Palette,
    held: tuple[str, Held, float, float] | None = None,
    log: bool = False,
) -> Option:
    """Return the option of a balance over time with its drawdown beneath.

    Parameters
    ----------
    curve : Curve
        With at least one point.
    name : str
        Name of the balance.
    colour : str
    percent : bool
        Show the drawdown in percent of the high before it; in money otherwise.
    look : Palette
    held : (str, Held, float, float), optional
        Name of what holding would have made, its course, the money it is bought for and what it is drawn above.
    log : bool
        Draw the balance on a logarithmic axis, whose ticks are doublings; it has to stay above zero.
    """
    first = int(curve.ts_ms[0]) - DAY_MS
    fall = curve.drawdown_pct if percent else curve.drawdown
    unit = "Below its high, %" if percent else "Below its high, USD"
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(np.concatenate([[first], curve.ts_ms]), unit="ms", utc=True),
            name: np.concatenate([[curve.start], curve.balance]),
            unit: np.concatenate([[0.0], fall]),
        }
    )
    beside: list[Option] = []
    if held is not None:
        frame[held[0]] = _held_values(*held[1:], np.concatenate([[first], curve.ts_ms]))
        beside.append(_held_line(held[0], look))
    line: Option = {"lineStyle": {"color": look.grid}}
    place: Option = {"left": 12, "right": 72, "containLabel": False, "outerBoundsMode": "none"}
    # Of many trades on one pixel the highest and the lowest are drawn, so that no fall is lost.
    shared: Option = {"type": "line", "step": "end", "showSymbol": False, "sampling": "minmax"}
    return {
        "animation": False,
        "useUTC": True,
        "dataset": {"source": frame},
        "grid": [
            {**place, "top": 32, "height": "52%"},
            {**place, "top": "66%", "height": "18%"},
        ],
        "legend": {**LEGEND, "left": 8},
        "xAxis": [
            {"type": "time", "axisLabel": {"show": False}, "axisLine": line},
            {"type": "time", "gridIndex": 1, "axisLine": line},
        ],
        "yAxis": [
            {"type": "log" if log else "value", "logBase": 2, "scale": True, "position": "right", "splitLine": line},
            {"gridIndex": 1, "position": "right", "max": 0, "splitNumber": 2, "splitLine": line},
        ],
        "dataZoom": zoom([0, 1], 0),
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {"trigger": "axis", "valueFormatter": "%,.2f"},
        "series": [
            {**shared, "name": name, "encode": {"x": "time", "y": name}, "itemStyle": {"color": colour}},
            {
                **shared,
                "name": unit,
                "encode": {"x": "time", "y": unit},
                "xAxisIndex": 1,
                "yAxisIndex": 1,
                "itemStyle": {"color": look.bad},
                "lineStyle": {"width": 1},
                "areaStyle": {"opacity": 0.25},
            },
            *beside,
        ],
    }


def _held_values(held: Held, bought: float, base: float, ts_ms: IntArray) -> FloatArray:
    """Return what holding had made of `bought` by each moment, above `base`: at the moments of the curve beside it."""
    place = np.maximum(np.searchsorted(held.ts_ms, ts_ms, side="right") - 1, 0)
    values: FloatArray = base + bought * (held.factor[place] - 1.0)
    values[:-1][ts_ms[1:] == ts_ms[:-1]] = np.nan  # one moment is told once, however many trades ended in it
    return values


def _held_line(name: str, look: Palette) -> Option:
    return {
        "type": "line",
        "name": name,
        "encode": {"x": "time", "y": name},
        "showSymbol": False,
        "connectNulls": True,
        "itemStyle": {"color": look.series[3]},
        "lineStyle": {"color": look.series[3], "width": 1.3, "type": "dashed"},
    }


def interval_chart(table: pd.DataFrame, look: Palette) -> Option:
    """Return the option that shows each group's expectancy with its 95 % interval.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `tables.BREAKDOWN`; groups without enough trades are left out.
    look : Palette
    """
    shown = table[table["enough"] == 1].iloc[::-1]
    groups = [f"{group} (n = {n:,})" for group, n in zip(shown["group"], shown["n"], strict=True)]
    means = [[float(value), group] for value, group in zip(shown["expectancy_r"], groups, strict=True)]
    spans: list[list[float | str]] = []
    for low, high, group in zip(shown["r_low"], shown["r_high"], groups, strict=True):
        spans += [[float(low), group], [float(high), group], ["-", "-"]]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 24, "top": 32, "bottom": 8, "containLabel": True},
        "legend": {**LEGEND, "left": 4},
        "xAxis": {"type": "value", "splitLine": {"lineStyle": {"color": look.grid}}},
        "yAxis": {"type": "category", "data": groups, "axisTick": {"show": False}},
        "tooltip": {"trigger": "item", "valueFormatter": "%.2f"},
        "series": [
            {
                "type": "line",
                "name": "95 % interval",
                "data": spans,
                "symbol": "none",
                "lineStyle": {"width": 2, "color": look.faint},
                "itemStyle": {"color": look.faint},
                "markLine": {
                    "silent": True,
                    "symbol": "none",
                    "label": {"show": False},
                    "lineStyle": {"color": look.neutral, "type": "dashed"},
                    "data": [{"xAxis": 0}],
                },
            },
            {
                "type": "scatter",
                "name": "Expectancy, R",
                "data": means,
                "symbolSize": 11,
                "itemStyle": {"color": look.up},
            },
        ],
    }
