"""Charts as data: ECharts options made of frames, nothing drawn here.

The law: pure functions; the zoom part of an option never changes with the data, so that a refresh keeps the reader's
place. Colours come from the palette of the reader's theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd

from core.dashboard._axis import LEGEND, Axis, Option, zoom
from core.dashboard._studies import Profile, Study
from core.dashboard._theme import Palette
from core.schema import Candles

__all__ = ["candle_chart", "chart_height", "marked"]

_PLAIN, _TAGGED = 72, 104  # pixels at the right: for prices, and for the tags of levels
_LEFT, _LABEL = 12, 68  # pixels: at the left, and the width of a label of the axis of time
_MANY = 1_500  # bars from which on they are drawn as one
_TOP, _PRICE, _VOLUME, _PANE, _GAP, _FOOT = 40, 364, 56, 84, 16, 84  # heights of the parts of a candle chart, pixels


def _candle_frame(candles: Candles, axis: Axis) -> pd.DataFrame:
    rising = candles.close >= candles.open
    frame = pd.DataFrame(
        {
            "open": candles.open,
            "close": candles.close,
            "low": candles.low,
            "high": candles.high,
            "volume": candles.volume,
            "rising": np.where(rising, candles.volume, np.nan),
            "falling": np.where(rising, np.nan, candles.volume),
        }
    )
    frame = frame.reindex(range(len(axis.labels)))  # the empty columns to the right hold no candle
    frame.insert(0, "time", axis.labels)
    return frame


def _price_format(candles: Candles) -> str:
    """Return a number format with six digits that matter, at least two of them decimals."""
    size = math.floor(math.log10(float(candles.close[-1])))
    return f"%,.{max(2, 5 - size)}f"


def chart_height(panes: int) -> int:
    """Return the height of a candle chart with so many panes beneath its volume, pixels."""
    return _TOP + _PRICE + _GAP + _VOLUME + panes * (_PANE + _GAP) + _FOOT


def _axes(panes: Sequence[Study], right: int, look: Palette) -> Option:
    """Return the places of price, volume and panes, one above the other, on one axis of time."""
    hidden: Option = {"show": False}
    line: Option = {"lineStyle": {"color": look.grid}}
    # All panes keep the same width whatever their labels need, or a candle would not stand above its volume.
    place: Option = {"left": _LEFT, "right": right, "containLabel": False, "outerBoundsMode": "none"}
    # A label stands to the right of its tick, date above hour: at either end of the axis there is room for it.
    label: Option = {"align": "left", "width": _LABEL, "overflow": "break", "lineHeight": 14, "hideOverlap": True}
    time: Option = {"type": "category", "boundaryGap": True, "axisLine": line, "axisTick": hidden, "axisLabel": hidden}
    under = [_VOLUME, *[_PANE] * len(panes)]
    tops = list(accumulate(under, lambda top, height: top + height + _GAP, initial=_TOP + _PRICE + _GAP))
    grids: list[Option] = [{**place, "top": _TOP, "height": _PRICE}]
    grids += [{**place, "top": top, "height": height} for top, height in zip(tops, under, strict=False)]
    times = [{**time, "gridIndex": at} for at in range(len(grids))]
    times[-1]["axisLabel"] = label
    small: Option = {"position": "right", "scale": True, "splitNumber": 2, "splitLine": line}
    plain: Option = {"gridIndex": 1, "position": "right", "splitLine": hidden, "splitNumber": 1, "axisLabel": hidden}
    names = [
        {
            "name": pane.name,
            "nameLocation": "end",
            "nameGap": -12,
            "nameTextStyle": {"align": "right", "color": look.faint},
        }
        for pane in panes
    ]
    return {
        "grid": grids,
        "xAxis": times,
        "yAxis": [
            {"scale": True, "position": "right", "splitLine": line},
            plain,
            *({**small, **name, "gridIndex": at} for at, name in enumerate(names, start=2)),
        ],
    }


def candle_chart(
    candles: Candles,
    axis: Axis,
    signals: pd.DataFrame,
    overlay: list[Option],
    zoom_start: int,
    look: Palette,
    over: Sequence[Study] = (),
    panes: Sequence[Study] = (),
    profile: Profile | None = None,
) -> Option:
    """Return the option of a candlestick chart with volume and marked signals; its height is `chart_height`.

    Parameters
    ----------
    candles : Candles
        Oldest first; at least one.
    axis : Axis
        Of these candles.
    signals : pandas.DataFrame
        Columns ts_ms and direction; those outside the candles are left out.
    overlay : list of dict
        More series, such as those of `plan_overlay`.
    zoom_start : int
        Where the first view begins, percent of the run.
    look : Palette
    over, panes : sequence of Study
        Lines over the price, and in panes of their own.
    profile : Profile, optional
        Volume by price, drawn at the left of the price.
    """
    frame = _candle_frame(candles, axis)
    for line in (line for one in (*over, *panes) for line in one.lines):
        frame[line.name] = pd.Series(line.values)
    parts = _axes(panes, _TAGGED if any("markLine" in item for item in overlay) else _PLAIN, look)
    series: list[Option] = [
        {
            "type": "candlestick",
            "name": "Price",
            "encode": {"x": "time", "y": ["open", "close", "low", "high"], "tooltip": ["open", "high", "low", "close"]},
            "itemStyle": {"color": look.up, "borderColor": look.up, "color0": look.down, "borderColor0": look.down},
        },
        *_volume_bars(look),
        *_signal_marks(candles, axis, signals, look),
        *(line for one in over for line in _lines(one, 0, look)),
        *(line for at, one in enumerate(panes, start=2) for line in _lines(one, at, look)),
        *overlay,
    ]
    if profile is not None:
        _add_profile(parts, series, profile, look)
    return {
        **parts,
        "animation": False,
        "legend": {**LEGEND, "left": _LEFT, "data": _legend(overlay, over)},
        "dataset": {"source": frame},
        "dataZoom": zoom(list(range(2 + len(panes))), zoom_start),
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "cross"}, "valueFormatter": _price_format(candles)},
        "series": series,
    }


def _volume_bars(look: Palette) -> list[Option]:
    """Return the series of volume in the colour of its candle: one each, so that very many are drawn in one stroke."""
    bars: Option = {"type": "bar", "xAxisIndex": 1, "yAxisIndex": 1, "barWidth": "70%", "barGap": "-100%"}
    bars |= {"large": True, "largeThreshold": _MANY}
    return [
        {
            **bars,
            "name": "Volume",
            "encode": {"x": "time", "y": "rising", "tooltip": ["volume"]},
            "itemStyle": {"color": look.up},
        },
        {
            **bars,
            "name": "Volume, falling",
            "encode": {"x": "time", "y": "falling"},
            "itemStyle": {"color": look.down},
            "tooltip": {"show": False},
        },
    ]


def _lines(study: Study, at: int, look: Palette) -> list[Option]:
    """Return the series of a study on the grid `at`."""
    series: list[Option] = []
    for line in study.lines:
        colour = look.series[line.colour]
        place: Option = {"xAxisIndex": at, "yAxisIndex": at, "encode": {"x": "time", "y": line.name}}
        one: Option = {**place, "name": line.name, "itemStyle": {"color": colour}, "z": 3}
        if line.kind == "bars":
            one |= {"type": "bar", "large": False}
        elif line.kind == "dots":
            one |= {"type": "scatter", "symbolSize": 4 if at == 0 else 7, "large": False}
        else:
            kind = "dashed" if line.kind == "dashed" else "solid"
            one |= {"type": "line", "showSymbol": False, "lineStyle": {"color": colour, "width": 1.3, "type": kind}}
        series.append(one)
    if study.levels and series:
        series[0]["markLine"] = {
            "silent": True,
            "symbol": "none",
            "label": {"show": False},
            "lineStyle": {"color": look.faint, "type": "dotted", "width": 1},
            "data": [{"yAxis": level} for level in study.levels],
        }
    return series


def _add_profile(parts: Option, series: list[Option], profile: Profile, look: Palette) -> None:
    """Draw volume by price on a grid of its own over the price's, whose axis then stands still."""
    at_y, at_x = len(parts["yAxis"]), len(parts["xAxis"])
    hidden: Option = {"show": False}
    parts["yAxis"][0] |= {
        "min": profile.low,
        "max": profile.high,
        "axisLabel": {"showMinLabel": False, "showMaxLabel": False},
    }
    parts["grid"].append({**parts["grid"][0]})
    grid = len(parts["grid"]) - 1
    bins = [f"{place}" for place in range(len(profile.volume))]
    parts["xAxis"].append(
        {"type": "value", "gridIndex": grid, "max": 4.0 * float(profile.volume.max() or 1.0), **hidden}
    )
    parts["yAxis"].append({"type": "category", "gridIndex": grid, "data": bins, **hidden})
    line: Option = {"color": look.series[4], "type": "dashed", "width": 1}
    series.append(
        {
            "type": "bar",
            "name": "Volume by price",
            "xAxisIndex": at_x,
            "yAxisIndex": at_y,
            "data": [round(float(volume), 6) for volume in profile.volume],
            "barWidth": "90%",
            "silent": True,
            "tooltip": hidden,
            "itemStyle": {"color": look.faint, "opacity": 0.28},
            "z": 1,
        }
    )
    series[0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "lineStyle": line,
        "label": {"position": "insideStartTop", "color": look.faint, "fontSize": 10},
        "data": [
            {"yAxis": price, "label": {"formatter": name}}
            for name, price in (("POC", profile.poc), ("VAH", profile.area_high), ("VAL", profile.area_low))
        ],
    }


def _legend(overlay: list[Option], over: Sequence[Study]) -> list[Any]:
    """Name what is not named beside the axis, as the levels are."""
    up, down = "path://M0,8L10,8L5,0Z", "path://M0,0L10,0L5,8Z"  # a legend does not turn a symbol by itself
    marks = [{"name": "Long signal", "icon": up}, {"name": "Short signal", "icon": down}]
    lines = [line.name for one in over for line in one.lines]
    return [*marks, *lines, *(str(item["name"]) for item in overlay if "markLine" not in item)]


def _signal_marks(candles: Candles, axis: Axis, signals: pd.DataFrame, look: Palette) -> list[Option]:
    looks = {
        "long": ("Long signal", look.up, candles.low, 0, [0, 12]),
        "short": ("Short signal", look.down, candles.high, 180, [0, -12]),
    }
    series = []
    for direction, (name, colour, prices, turn, offset) in looks.items():
        points = []
        for ts in marked(candles, signals, direction)["ts_ms"]:
            place = int(np.searchsorted(candles.ts, ts))
            points.append([axis.labels[place], float(prices[place])])
        series.append(
            {
                "type": "scatter",
                "id": direction,
                "name": name,
                "data": points,
                "symbol": "triangle",
                "symbolRotate": turn,
                "symbolSize": 11,
                "symbolOffset": offset,
                "selectedMode": "single",
                "itemStyle": {"color": colour, "borderColor": look.neutral, "borderWidth": 1},
                "select": {"itemStyle": {"borderColor": look.leg, "borderWidth": 3}},
                "tooltip": {"show": False},
                "z": 7,
            }
        )
    return series


def marked(candles: Candles, signals: pd.DataFrame, direction: str) -> pd.DataFrame:
    """Return the signals of a direction that are marked on a run of candles, in the order of their marks."""
    mine = signals[signals["direction"] == direction]
    return mine[np.isin(mine["ts_ms"].to_numpy(np.int64), candles.ts)]
