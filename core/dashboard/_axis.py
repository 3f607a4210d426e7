"""What charts share: the axis of candles, the zoom, the legend.

The law: the zoom part of an option never changes with the data, so that a refresh keeps the reader's place.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.clock import DAY_MS, floor_to, timeframe_ms
from core.schema import Candles

__all__ = ["LEGEND", "Axis", "Option", "line", "moment_labels", "zoom"]

Option = dict[str, Any]

# One line whatever the width: on a phone it is leafed through instead of growing into the chart.
LEGEND: Option = {"type": "scroll", "top": 2, "right": 12, "itemWidth": 16, "itemHeight": 9, "itemGap": 14}


def moment_labels(ts_ms: Any, step_ms: int) -> list[str]:
    """Return the axis label of each candle: a date, or a date and time below a day; UTC."""
    moments = np.asarray(ts_ms, dtype=np.int64).astype("datetime64[ms]")
    if step_ms >= DAY_MS:
        return [str(label) for label in np.datetime_as_string(moments, unit="D").tolist()]
    # A hundred thousand at once: ISO 8601 has a T where people read a blank.
    letters = np.datetime_as_string(moments, unit="m").astype("U16").reshape(-1, 1).view("U1").copy()
    letters[:, 10] = " "
    return [str(label) for label in letters.view("U16").ravel().tolist()]


def line(name: str, points: list[Any], colour: str, z: int, width: float = 1.0, **style: Any) -> Option:
    """Return a line that nobody hovers over; `style` is the line's own, such as ``type="dashed"``."""
    return {
        "type": "line",
        "name": name,
        "data": points,
        "symbol": "none",
        "silent": True,
        "lineStyle": {"color": colour, "width": width, **style},
        "itemStyle": {"color": colour},
        "tooltip": {"show": False},
        "z": z,
    }


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
