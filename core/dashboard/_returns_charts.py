"""Charts of results on a calendar as data: months, days, hours of the week.

The law: pure; counted by `core.results.returns`. Where there are few trades the count stands in place of the figure.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from core.dashboard._axis import Option
from core.dashboard._theme import Palette
from core.results.words import in_r, span

__all__ = ["DAYS", "MONTHS", "day_chart", "hour_chart", "hour_height", "month_chart", "month_height"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_STRONG = 0.72  # how far the strongest cell goes from the page's colour to the palette's: words on it stay readable


def _mixed(one: str, other: str, part: float) -> str:
    """Return a colour between two, `part` of the way to the other."""
    pairs = [(int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * part):02X}" for a, b in pairs)


def _scale(values: pd.Series, look: Palette, **more: object) -> Option:
    """Return the scale of colours from loss over nothing to gain, the same distance either way."""
    known = np.abs(values.to_numpy(np.float64))
    # One extreme cell may not make all others look alike.
    most = float(np.quantile(known, 0.95)) if len(known) else 0.0
    ends = [_mixed(look.background, end, _STRONG) for end in (look.bad, look.good)]
    return {
        "show": False,
        "min": -(most or 1.0),
        "max": most or 1.0,
        "dimension": 2,
        "inRange": {"color": [ends[0], look.surface, ends[1]]},
        **more,
    }


def _cells(names: tuple[list[str], list[str]], series: list[Option], scale: Option, left: int) -> Option:
    hidden: Option = {"show": False}
    axis: Option = {"type": "category", "axisTick": hidden, "axisLine": hidden, "splitArea": hidden}
    return {
        "animation": False,
        "grid": {"left": left, "right": 8, "top": 36, "bottom": 8, "containLabel": False},
        "tooltip": {"trigger": "item"},
        "xAxis": {**axis, "data": names[0], "position": "top", "axisLabel": {"hideOverlap": True, "interval": 0}},
        "yAxis": {**axis, "data": names[1], "inverse": True},
        "visualMap": scale,
        "series": series,
    }


def month_height(table: pd.DataFrame) -> int:
    """Return the height of the chart of months, pixels."""
    return 48 + 40 * int(table["year"].nunique())


def month_chart(table: pd.DataFrame, column: str, unit: str, look: Palette) -> Option:
    """Return the option of months in columns and years in rows, with the year's sum.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `returns.MONTHS` and `column`; at least one row.
    column : str
        What is shown, summed.
    unit : str
        Its unit.
    look : Palette
    """
    years = [str(year) for year in sorted(table["year"].unique())]
    label: Option = {"show": True, "formatter": "{@[2]}", "color": look.text, "fontSize": 10}
    shared: Option = {
        "type": "heatmap",
        "tooltip": {"formatter": f"{{b}}: {{@[5]}} {unit}<br>{{@[3]}} trades, {{@[4]}} won"},
        "itemStyle": {"borderColor": look.background, "borderWidth": 2},
        "label": label,
        "labelLayout": {"hideOverlap": True},
    }
    cells = [
        {
            "name": f"{MONTHS[row['month'] - 1]} {row['year']}",
            "value": [row["month"] - 1, *_cell(years, row["year"], row[column], row["n"], row["won"])],
        }
        for row in table.to_dict("records")
    ]
    sums = table.groupby("year")[[column, "n", "won"]].sum()
    totals = [
        {
            "name": f"{year}",
            "value": [12, *_cell(years, year, row[column], row["n"], row["won"])],
            "itemStyle": {"color": look.surface},
        }
        for year, row in sums.iterrows()
    ]
    bold: Option = {"label": {**label, "fontWeight": "bold"}}
    return _cells(
        ([*MONTHS, "Year"], years),
        [{**shared, "name": "Month", "data": cells}, {**shared, "name": "Year", "data": totals, **bold}],
        _scale(table[column], look, seriesIndex=0),
        48,
    )


def _cell(years: list[str], year: object, value: float, n: float, won: float) -> list[float]:
    """Return row, figure short enough for a cell of a phone, counts and the figure itself."""
    short = round(float(value), 1) if abs(value) < 9.95 else round(float(value))
    return [years.index(str(year)), short, int(n), int(won), round(float(value), 2)]


def day_chart(table: pd.DataFrame, year: int, column: str, unit: str, look: Palette) -> Option:
    """Return the option of a year's days, a column a week.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `returns.DAYS` and `column`.
    year : int
    column : str
        What is shown.
    unit : str
        Its unit.
    look : Palette
    """
    mine = table[table["day"].str.startswith(f"{year}-")]
    data = [
        {"name": row["day"], "value": [row["day"], 0, round(float(row[column]), 2), row["n"]]}
        for row in mine.to_dict("records")
    ]
    return {
        "animation": False,
        "tooltip": {"trigger": "item", "formatter": f"{{b}}: {{@[2]}} {unit}<br>{{@[3]}} trades"},
        "calendar": {
            "range": str(year),
            "left": 36,
            "right": 8,
            "top": 40,
            "bottom": 8,
            "cellSize": ["auto", "auto"],
            "splitLine": {"lineStyle": {"color": look.faint, "width": 1}},
            "itemStyle": {"color": look.background, "borderColor": look.grid, "borderWidth": 1},
            "dayLabel": {"firstDay": 1, "color": look.faint, "nameMap": ["S", "M", "T", "W", "T", "F", "S"]},
            "monthLabel": {"color": look.faint},
            "yearLabel": {"show": False},
        },
        "visualMap": _scale(mine[column], look),
        "series": [{"type": "heatmap", "name": "Day", "coordinateSystem": "calendar", "data": data}],
    }


def hour_height(step: int) -> int:
    """Return the height of the chart of hours, pixels."""
    return 48 + (24 // step) * (40 if step > 1 else 24)


def hour_chart(table: pd.DataFrame, step: int, look: Palette) -> Option:
    """Return the option of the days of the week in columns and hours in rows.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `returns.HOURS`.
    step : int
        Hours in a row.
    look : Palette
    """
    hours = [f"{hour:02d}-{hour + step:02d}" if step > 1 else f"{hour:02d}:00" for hour in range(0, 24, step)]
    known, few = [], []
    for row in table.to_dict("records"):
        place = [row["weekday"], row["hour"] // step]
        name = f"{DAYS[row['weekday']]} {hours[place[1]]}"
        if not row["enough"]:
            few.append({"name": name, "value": [*place, 0, row["n"]]})
            continue
        told = in_r(row["r"])
        if math.isfinite(row["low"]):
            told += f", 95 %: {span(in_r(row['low']), in_r(row['high']))}"
        known.append({"name": f"{name}: {told}", "value": [*place, round(row["r"], 2), row["n"]]})
    edge: Option = {"borderColor": look.background, "borderWidth": 2}
    shared: Option = {"type": "heatmap", "labelLayout": {"hideOverlap": True}}
    label: Option = {"show": True, "fontSize": 11}
    return _cells(
        (list(DAYS), hours),
        [
            {
                **shared,
                "name": "Mean R",
                "data": known,
                "itemStyle": edge,
                "label": {**label, "formatter": "{@[2]}", "color": look.text},
                "tooltip": {"formatter": "{b}<br>n = {@[3]}"},
            },
            {
                **shared,
                "name": "Few data",
                "data": few,
                "itemStyle": {**edge, "color": look.background, "borderColor": look.grid, "borderWidth": 1},
                "label": {**label, "formatter": "n={@[3]}", "color": look.faint, "fontSize": 10},
                "tooltip": {"formatter": "{b}<br>few data: n = {@[3]}"},
            },
        ],
        _scale(table.loc[table["enough"] == 1, "r"], look, seriesIndex=0),
        56,
    )
