"""Lines with the band they may as well have taken, as parts of charts.

The law: no line without its band; the words a tooltip shows are in the data, so that they say what the table says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from core.dashboard._axis import LEGEND, Option
from core.dashboard._theme import Palette

__all__ = ["NO_TIP", "banded", "dates", "framed", "level"]

NO_TIP: Option = {"show": False}
"""For series whose words another one tells."""


def dates(ms: Sequence[int], zone: str) -> list[str]:
    """Return days such as ``2024-01-31`` on the reader's calendar."""
    place = ZoneInfo(zone)
    return [datetime.fromtimestamp(one / 1000, tz=UTC).astimezone(place).strftime("%Y-%m-%d") for one in ms]


def banded(name: str, x: str, middle: str, low: str, width: str, colour: str, opacity: float = 0.18) -> list[Option]:
    """Return the series of a line and its band, from columns of the chart's dataset.

    Parameters
    ----------
    name : str
        In the legend; ``""`` draws the band alone.
    x, middle, low, width : str
        Columns; the band goes from `low` up to `low + width`.
    colour : str
    opacity : float
        Of the band.
    """
    unseen: Option = {"lineStyle": {"opacity": 0}, "itemStyle": {"color": colour}, "showSymbol": False, "silent": True}
    # With "all", a band whose lower edge is below zero and whose upper edge is above it is stacked as well.
    stacked: Option = {"type": "line", "stack": f"{low} {width}", "stackStrategy": "all", "tooltip": NO_TIP, **unseen}
    area: Option = {"areaStyle": {"color": colour, "opacity": opacity}}
    series: list[Option] = [
        {**stacked, "name": f"{low} ", "encode": {"x": x, "y": low}},
        {**stacked, "name": f"{width} ", "encode": {"x": x, "y": width}, **area},
    ]
    if name:
        line: Option = {"lineStyle": {"color": colour, "width": 2}, "itemStyle": {"color": colour}}
        series.append(
            {"type": "line", "name": name, "encode": {"x": x, "y": middle}, "showSymbol": False, "z": 4, **line}
        )
    return series


def level(value: float | str, look: Palette, text: str = "", axis: str = "yAxis") -> Option:
    """Return a dashed line at a value, with words where there are some."""
    label: Option = {"show": False}
    if text:
        # Above an upright line, since words along it are hard to read; inside the pane on a level one.
        place = "end" if axis == "xAxis" else "insideStartTop"
        label = {"formatter": text, "position": place, "color": look.text, "fontSize": 11}
        label |= {"backgroundColor": look.background, "padding": [1, 4], "borderRadius": 2}
    return {
        "silent": True,
        "symbol": "none",
        "lineStyle": {"color": look.faint, "type": "dashed", "width": 1},
        "label": label,
        "data": [{axis: value}],
    }


def framed(series: list[Option], names: Sequence[str], x: Option, y: Option, look: Palette) -> Option:
    """Return an option of one plain pane around series, its legend naming `names` alone."""
    line: Option = {"lineStyle": {"color": look.grid}}
    middle: Option = {"nameLocation": "middle", "nameTextStyle": {"color": look.faint}}
    return {
        "animation": False,
        "grid": {
            "left": 32 if y.get("name") else 10,
            "right": 18,
            "top": 38,
            "bottom": 28 if x.get("name") else 8,
            "containLabel": True,
        },
        "legend": {**LEGEND, "left": 8, "right": 84, "data": list(names)},
        "xAxis": {"axisLine": line, "splitLine": {"show": False}, "nameGap": 26, **middle, **x},
        "yAxis": {"splitLine": line, **middle, **y},
        "series": series,
    }
