"""Charts as data: ECharts options made of frames, nothing drawn here.

The law: pure functions; the zoom part of an option never changes with the data, so that a refresh keeps the reader's
place. Colours come from the palette of the reader's theme.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from core.clock import DAY_MS, floor_to, timeframe_ms
from core.dashboard._theme import Palette
from core.schema import Candles

__all__ = [
    "LEGEND",
    "Axis",
    "Option",
    "candle_chart",
    "moment_labels",
    "zoom",
]

Option = dict[str, Any]

_PLAIN, _TAGGED = 72, 104  # pixels at the right: for prices, and for the tags of levels
_LEFT, _LABEL = 12, 68  # pixels: at the left, and the width of a label of the axis of time
# One line whatever the width: on a phone it is leafed through instead of growing into the chart.
# Room is left at its right for the button that saves the chart.
LEGEND: Option = {"type": "scroll", "top": 2, "right": 44, "itemWidth": 16, "itemHeight": 9, "itemGap": 14}


def moment_labels(ts_ms: Any, step_ms: int) -> list[str]:
    """Return the axis label of each candle: a date, or a date and time below a day; UTC."""
    form = "%Y-%m-%d" if step_ms >= DAY_MS else "%Y-%m-%d %H:%M"
    return [datetime.fromtimestamp(int(ms) / 1000, tz=UTC).strftime(form) for ms in ts_ms]


def zoom(axes: list[int], start: int) -> list[Option]:
    """Return the zoom of a chart: wheel and slider, from `start` percent to the end, always the same."""
    return [
        {"type": "inside", "xAxisIndex": axes, "start": start, "end": 100},
        {
            "type": "slider",
            "xAxisIndex": axes,
            "start": start,
            "end": 100,
            "bottom": 8,
            "height": 22,
            "showDetail": False,
        },
    ]


def _candle_frame(candles: Candles, axis: Axis) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "open": candles.open,
            "close": candles.close,
            "low": candles.low,
            "high": candles.high,
            "volume": candles.volume,
            "rising": (candles.close >= candles.open).astype(np.float64),
        }
    )
    frame = frame.reindex(range(len(axis.labels)))  # the empty columns to the right hold no candle
    frame.insert(0, "time", axis.labels)
    return frame


class Axis:
    """Places moments on the category axis of a run of candles.

    Parameters
    ----------
    candles : Candles
    timeframe : str
    room : int
        Empty columns to the right of the newest candle.
    """

    def __init__(self, candles: Candles, timeframe: str, room: int = 0) -> None:
        self._step = timeframe_ms(timeframe)
        ahead = candles.ts[-1:] + self._step * np.arange(1, room + 1)
        self._ts = np.concatenate([candles.ts, ahead])
        self.labels = moment_labels(self._ts, self._step)

    def place(self, ms: float) -> int | None:
        """Return the position of the column that holds `ms`; None outside the run or in a gap."""
        bucket = floor_to(int(ms), self._step)
        found = int(np.searchsorted(self._ts, bucket))
        return found if found < len(self._ts) and self._ts[found] == bucket else None

    def at(self, ms: float) -> str | None:
        """Return the label of the column that holds `ms`; None outside the run or in a gap."""
        found = self.place(ms)
        return None if found is None else self.labels[found]

    def clip(self, ms: float) -> str:
        """Return the label of the last column at or before `ms`, or of the nearest end of the run."""
        found = int(np.searchsorted(self._ts, int(ms), side="right")) - 1
        return self.labels[min(max(found, 0), len(self.labels) - 1)]


def _price_format(candles: Candles) -> str:
    """Return a number format with six digits that matter, at least two of them decimals."""
    size = math.floor(math.log10(float(candles.close[-1])))
    return f"%,.{max(2, 5 - size)}f"


def _price_axes(right: int, look: Palette) -> Option:
    hidden: Option = {"show": False}
    line: Option = {"lineStyle": {"color": look.grid}}
    # Both panes keep the same width whatever their labels need, or a candle would not stand above its volume.
    place: Option = {"left": _LEFT, "right": right, "containLabel": False, "outerBoundsMode": "none"}
    # A label stands to the right of its tick, date above hour: at either end of the axis there is room for it.
    label: Option = {"align": "left", "width": _LABEL, "overflow": "break", "lineHeight": 14, "hideOverlap": True}
    return {
        "grid": [
            {**place, "top": 40, "bottom": 156},
            {**place, "height": 56, "bottom": 84},
        ],
        "xAxis": [
            {"type": "category", "boundaryGap": True, "axisLine": line, "axisTick": hidden, "axisLabel": hidden},
            {
                "type": "category",
                "gridIndex": 1,
                "boundaryGap": True,
                "axisLine": line,
                "axisTick": hidden,
                "axisLabel": label,
            },
        ],
        "yAxis": [
            {"scale": True, "position": "right", "splitLine": line},
            {
                "gridIndex": 1,
                "position": "right",
                "splitLine": hidden,
                "splitNumber": 1,
                "axisLabel": hidden,
            },
        ],
    }


def candle_chart(
    candles: Candles,
    axis: Axis,
    signals: pd.DataFrame,
    overlay: list[Option],
    zoom_start: int,
    look: Palette,
) -> Option:
    """Return the option of a candlestick chart with volume and marked signals.

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
    """
    return {
        **_price_axes(_TAGGED if overlay else _PLAIN, look),
        "animation": False,
        "legend": {**LEGEND, "left": _LEFT, "data": _legend(overlay)},
        "dataset": {"source": _candle_frame(candles, axis)},
        "visualMap": {
            "show": False,
            "seriesIndex": 1,  # volume takes the colour of its candle
            "dimension": "rising",
            "pieces": [{"value": 1, "color": look.up}, {"value": 0, "color": look.down}],
        },
        "dataZoom": zoom([0, 1], zoom_start),
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "cross"}, "valueFormatter": _price_format(candles)},
        "series": [
            {
                "type": "candlestick",
                "name": "Price",
                "encode": {
                    "x": "time",
                    "y": ["open", "close", "low", "high"],
                    "tooltip": ["open", "high", "low", "close"],
                },
                "itemStyle": {"color": look.up, "borderColor": look.up, "color0": look.down, "borderColor0": look.down},
            },
            {
                "type": "bar",
                "name": "Volume",
                "xAxisIndex": 1,
                "yAxisIndex": 1,
                "barWidth": "70%",
                "large": False,
                "encode": {"x": "time", "y": "volume"},
            },
            *_signal_marks(candles, axis, signals, look),
            *overlay,
        ],
    }


def _legend(overlay: list[Option]) -> list[Any]:
    """Name what is not named beside the axis, as the levels are."""
    up, down = "path://M0,8L10,8L5,0Z", "path://M0,0L10,0L5,8Z"  # a legend does not turn a symbol by itself
    marks = [{"name": "Long signal", "icon": up}, {"name": "Short signal", "icon": down}]
    return [*marks, *(str(item["name"]) for item in overlay if "markLine" not in item)]


def _signal_marks(candles: Candles, axis: Axis, signals: pd.DataFrame, look: Palette) -> list[Option]:
    looks = {
        "long": ("Long signal", look.up, candles.low, 0, [0, 12]),
        "short": ("Short signal", look.down, candles.high, 180, [0, -12]),
    }
    series = []
    for direction, (name, colour, prices, turn, offset) in looks.items():
        points = []
        for ts in signals.loc[signals["direction"] == direction, "ts_ms"]:
            place = axis.place(ts)
            if place is not None and place < len(candles):
                points.append([axis.labels[place], float(prices[place])])
        series.append(
            {
                "type": "scatter",
                "name": name,
                "data": points,
                "symbol": "triangle",
                "symbolRotate": turn,
                "symbolSize": 11,
                "symbolOffset": offset,
                "itemStyle": {"color": colour, "borderColor": look.neutral, "borderWidth": 1},
                "tooltip": {"show": False},
                "z": 5,
            }
        )
    return series
