"""Charts as data: ECharts options made of frames, nothing drawn here.

The law: pure functions; the zoom part of an option never changes with the data, so that a refresh keeps the reader's
place. Colours are Okabe and Ito's (2008), told apart with any colour vision, and shape or text says the same again.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from core.clock import DAY_MS, floor_to, timeframe_ms
from core.schema import Candles

__all__ = [
    "BAD",
    "DOWN",
    "FAINT",
    "GOOD",
    "GRID_LINE",
    "LEG",
    "NEUTRAL",
    "UP",
    "Axis",
    "Option",
    "candle_chart",
    "moment_labels",
    "zoom",
]

Option = dict[str, Any]

UP, DOWN = "#56B4E9", "#E69F00"
GOOD, BAD, NEUTRAL, LEG = "#009E73", "#D55E00", "#E6E9EF", "#CC79A7"
GRID_LINE, FAINT = "#232A36", "#9AA4B5"


def moment_labels(ts_ms: Any, step_ms: int) -> list[str]:
    """Return the axis label of each candle: a date, or a date and time below a day; UTC."""
    form = "%Y-%m-%d" if step_ms >= DAY_MS else "%Y-%m-%d %H:%M"
    return [datetime.fromtimestamp(int(ms) / 1000, tz=UTC).strftime(form) for ms in ts_ms]


def zoom(axes: list[int], start: int) -> list[Option]:
    """Return the zoom of a chart: wheel and slider, from `start` percent to the end, always the same."""
    return [
        {"type": "inside", "xAxisIndex": axes, "start": start, "end": 100},
        {"type": "slider", "xAxisIndex": axes, "start": start, "end": 100, "bottom": 8, "height": 22},
    ]


def _candle_frame(candles: Candles, step_ms: int) -> pd.DataFrame:
    rising = candles.close >= candles.open
    return pd.DataFrame(
        {
            "time": moment_labels(candles.ts, step_ms),
            "open": candles.open,
            "close": candles.close,
            "low": candles.low,
            "high": candles.high,
            "volume up": np.where(rising, candles.volume, np.nan),
            "volume down": np.where(rising, np.nan, candles.volume),
        }
    )


class Axis:
    """Places moments on the category axis of a run of candles."""

    def __init__(self, candles: Candles, step_ms: int) -> None:
        self._ts, self._step = candles.ts, step_ms
        self._labels = moment_labels(candles.ts, step_ms)

    def place(self, ms: float) -> int | None:
        """Return the position of the candle that holds `ms`; None outside the run or in a gap."""
        bucket = floor_to(int(ms), self._step)
        found = int(np.searchsorted(self._ts, bucket))
        return found if found < len(self._ts) and self._ts[found] == bucket else None

    def at(self, ms: float) -> str | None:
        """Return the label of the candle that holds `ms`; None outside the run or in a gap."""
        found = self.place(ms)
        return None if found is None else self._labels[found]

    def clip(self, ms: float) -> str:
        """Return the label of the last candle at or before `ms`, or of the nearest end of the run."""
        place = int(np.searchsorted(self._ts, int(ms), side="right")) - 1
        return self._labels[min(max(place, 0), len(self._labels) - 1)]


def _price_format(candles: Candles) -> str:
    """Return a number format with six digits that matter, at least two of them decimals."""
    size = math.floor(math.log10(float(candles.close[-1])))
    return f"%,.{max(2, 5 - size)}f"


def _price_axes() -> Option:
    hidden: Option = {"show": False}
    line: Option = {"lineStyle": {"color": GRID_LINE}}
    return {
        "grid": [
            {"left": 12, "right": 84, "top": 36, "height": "64%", "containLabel": False},
            {"left": 12, "right": 84, "top": "78%", "height": "10%", "containLabel": False},
        ],
        "xAxis": [
            {"type": "category", "boundaryGap": True, "axisLine": line, "axisTick": hidden, "axisLabel": hidden},
            {"type": "category", "gridIndex": 1, "boundaryGap": True, "axisLine": line, "axisTick": hidden},
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
    timeframe: str,
    signals: pd.DataFrame,
    overlay: list[Option] | None = None,
    zoom_start: int = 60,
) -> Option:
    """Return the option of a candlestick chart with volume and marked signals.

    Parameters
    ----------
    candles : Candles
        Oldest first; at least one.
    timeframe : str
    signals : pandas.DataFrame
        Columns decided_ms, ts_ms, direction, id; those outside the candles are left out.
    overlay : list of dict, optional
        More series, from `plan_overlay`.
    zoom_start : int
        Where the first view begins, percent of the run.
    """
    step = timeframe_ms(timeframe)
    frame = _candle_frame(candles, step)
    bar: Option = {
        "type": "bar",
        "xAxisIndex": 1,
        "yAxisIndex": 1,
        "stack": "volume",
        "large": False,
        "barWidth": "70%",
    }
    bar["tooltip"] = {"valueFormatter": "compact"}
    return {
        **_price_axes(),
        "animation": False,
        "legend": {"top": 4, "left": 12, "icon": "roundRect", "data": _legend(overlay or [])},
        "dataset": {"source": frame},
        "dataZoom": zoom([0, 1], zoom_start),
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "cross"}, "valueFormatter": _price_format(candles)},
        "series": [
            {
                "type": "candlestick",
                "name": "Price",
                "encode": {"x": "time", "y": ["open", "close", "low", "high"]},
                "itemStyle": {"color": UP, "borderColor": UP, "color0": DOWN, "borderColor0": DOWN},
            },
            {**bar, "name": "Volume, up", "encode": {"x": "time", "y": "volume up"}, "itemStyle": {"color": UP}},
            {**bar, "name": "Volume, down", "encode": {"x": "time", "y": "volume down"}, "itemStyle": {"color": DOWN}},
            *_signal_marks(candles, step, signals),
            *(overlay or []),
        ],
    }


def _legend(overlay: list[Option]) -> list[str]:
    return ["Price", "Long signal", "Short signal", *(str(item["name"]) for item in overlay)]


def _signal_marks(candles: Candles, step: int, signals: pd.DataFrame) -> list[Option]:
    axis, labels = Axis(candles, step), moment_labels(candles.ts, step)
    looks = {
        "long": ("Long signal", UP, candles.low, 0, [0, 12]),
        "short": ("Short signal", DOWN, candles.high, 180, [0, -12]),
    }
    series = []
    for direction, (name, colour, prices, turn, offset) in looks.items():
        points = []
        for ts in signals.loc[signals["direction"] == direction, "ts_ms"]:
            place = axis.place(ts)
            if place is not None:
                points.append([labels[place], float(prices[place])])
        series.append(
            {
                "type": "scatter",
                "name": name,
                "data": points,
                "symbol": "triangle",
                "symbolRotate": turn,
                "symbolSize": 11,
                "symbolOffset": offset,
                "itemStyle": {"color": colour, "borderColor": NEUTRAL, "borderWidth": 1},
                "tooltip": {"show": False},
                "z": 5,
            }
        )
    return series
