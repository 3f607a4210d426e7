"""Charts of the model's page as data: calibration, expected against realised, importance, drift.

The law: pure; counted by `core.results` and `core.training`, drawn with the counts they rest on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.dashboard._axis import LEGEND, Option
from core.dashboard._theme import Palette
from core.training.drift import LIMIT, Course

__all__ = ["bar_chart", "bins_chart", "drift_chart"]

_COURSES = {"p": "Fewer won than said", "ev": "Less earned than said"}


def bins_chart(bins: Sequence[tuple[str, pd.DataFrame]], axes: tuple[str, str], unit: str, look: Palette) -> Option:
    """Return the option of what was said against what came, with intervals and counts.

    Parameters
    ----------
    bins : sequence of (str, pandas.DataFrame)
        Name and bins (`calibration.BINS`) of each line.
    axes : tuple of str
        Names of what was said and what came.
    unit : str
        Number format of the figures.
    look : Palette
    """
    every = pd.concat([told for _, told in bins])
    ends = every[["said", "came", "low", "high"]].to_numpy(np.float64)
    low, high = (float(edge(ends[np.isfinite(ends)])) for edge in (np.min, np.max))
    pad = 0.05 * (high - low or 1.0)
    low, high = low - pad, high + pad
    series: list[Option] = [
        {
            "type": "line",
            "name": "As said",
            "data": [[low, low], [high, high]],
            "symbol": "none",
            "silent": True,
            "lineStyle": {"type": "dashed", "width": 1, "color": look.faint},
            "itemStyle": {"color": look.faint},
        }
    ]
    for place, (name, told) in enumerate(bins):
        colour = look.series[place]
        spans: list[list[Any]] = []
        for row in told.to_dict("records"):
            if math.isfinite(row["low"]):
                spans += [[row["said"], row["low"]], [row["said"], row["high"]], ["-", "-"]]
        shared: Option = {"itemStyle": {"color": colour}, "lineStyle": {"color": colour}}
        series += [
            {**shared, "type": "line", "name": name, "data": spans, "symbol": "none", "silent": True},
            {
                **shared,
                "type": "scatter",
                "name": name,
                "data": told[["said", "came", "n"]].to_numpy().tolist(),
                "symbol": ("circle", "diamond")[place % 2],
                "symbolSize": 11,
                "tooltip": {"formatter": f"{name}<br>{axes[0]}: {{@[0]}}<br>{axes[1]}: {{@[1]}}<br>n = {{@[2]}}"},
            },
        ]
    line: Option = {"lineStyle": {"color": look.grid}}
    axis: Option = {"type": "value", "min": low, "max": high, "splitLine": line, "nameLocation": "middle"}
    label: Option = {"formatter": unit}
    return {
        "animation": False,
        "grid": {"left": 28, "right": 20, "top": 40, "bottom": 30, "containLabel": True},
        "legend": {**LEGEND, "left": 8, "data": ["As said", *(name for name, _ in bins)]},
        "tooltip": {"trigger": "item"},
        "xAxis": {
            **axis,
            "name": axes[0],
            "nameGap": 26,
            "axisLabel": {**label, "showMinLabel": False, "showMaxLabel": False},
        },
        "yAxis": {
            **axis,
            "name": axes[1],
            "nameGap": 40,
            "axisLabel": {**label, "showMinLabel": False, "showMaxLabel": False},
        },
        "series": series,
    }


def bar_chart(names: Sequence[str], values: Sequence[float], name: str, look: Palette) -> Option:
    """Return the option of horizontal bars, the first on top."""
    return {
        "animation": False,
        "grid": {"left": 8, "right": 56, "top": 28, "bottom": 8, "containLabel": True},
        "legend": {**LEGEND, "left": 8},
        "tooltip": {"trigger": "item", "valueFormatter": "%.3f"},
        "xAxis": {"type": "value", "splitLine": {"lineStyle": {"color": look.grid}}},
        "yAxis": {"type": "category", "data": list(names)[::-1], "axisTick": {"show": False}},
        "series": [
            {
                "type": "bar",
                "name": name,
                "data": [round(float(value), 6) for value in values][::-1],
                "barMaxWidth": 18,
                "itemStyle": {"color": look.up},
            }
        ],
    }


def drift_chart(found: Sequence[Course], look: Palette) -> Option:
    """Return the option of both drift statistics with the level at which evidence is withdrawn."""
    line: Option = {"lineStyle": {"color": look.grid}}
    series: list[Option] = []
    for place, course in enumerate(found):
        colour = look.series[place]
        series.append(
            {
                "type": "line",
                "name": _COURSES[course.series],
                "step": "end",
                "showSymbol": False,
                "data": [
                    [int(ms), round(float(level), 3)] for ms, level in zip(course.at_ms, course.level, strict=True)
                ],
                "itemStyle": {"color": colour},
                "lineStyle": {"color": colour, "type": ("solid", "dashed")[place % 2]},
            }
        )
    if series:
        series[0]["markLine"] = {
            "silent": True,
            "symbol": "none",
            "lineStyle": {"color": look.bad, "type": "dashed"},
            "label": {"formatter": "alarm", "position": "insideEndTop", "color": look.bad},
            "data": [{"yAxis": LIMIT}],
        }
    return {
        "animation": False,
        "useUTC": True,
        "grid": {"left": 8, "right": 24, "top": 36, "bottom": 8, "containLabel": True},
        "legend": {**LEGEND, "left": 8},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.1f"},
        "xAxis": {"type": "time", "axisLine": line},
        "yAxis": {"type": "value", "min": 0, "max": math.ceil(LIMIT * 1.2), "splitLine": line},
        "series": series,
    }
