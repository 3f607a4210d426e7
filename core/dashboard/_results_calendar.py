"""Results on a calendar: months, the days of a year, hours of the week.

The law: a sum is shown as it is, a mean only with enough trades behind it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.dashboard._parts import chart, downloads, section, table
from core.dashboard._results_book import book, few
from core.dashboard._returns_charts import DAYS, day_chart, hour_chart, hour_height, month_chart, month_height
from core.dashboard._shared import View
from core.dashboard._source_results import Choice, hours_of, months_and_days_of
from core.dashboard._theme import palette
from core.results.metrics import NOT_ENOUGH
from core.results.words import in_r, span

__all__ = ["by_calendar"]

_UNITS = {"R": ("r", "R"), "% of the capital": ("pct", "%")}


def by_calendar(view: View, choice: Choice) -> None:
    """Draw the part."""
    capital = view.source.capital_usd
    with st.container(horizontal=True):
        choice = book(choice, "calendar")
        unit = st.segmented_control(
            "Unit",
            list(_UNITS),
            default="R",
            key="calendar_unit",
            required=True,
            disabled=capital is None,
            help="R: the planned risk of each trade. Percent: results at the planned sizes over risk.capital_usd; "
            "profits are not reinvested, so months add up.",
        )
    column, sign = _UNITS[str(unit)]
    zone = view.source.zone
    months, days = (_in_percent(one, capital) for one in months_and_days_of(choice, zone))
    if months.empty:
        few("no closed trade yet.")
        return
    section("Months", f"Sum of the results that became known in each month, {zone}. A good month is not evidence.")
    chart(
        month_chart(months, column, sign, palette()),
        key=f"months-{column}",
        height=month_height(months),
        alt=f"Sum of results by month in {sign}",
    )
    downloads(months, "months")
    _days(days, column, sign)
    _hours(choice, zone)


def _in_percent(sums: pd.DataFrame, capital: float | None) -> pd.DataFrame:
    return sums.assign(pct=100.0 * sums["usd"] / capital if capital else np.nan)


def _days(days: pd.DataFrame, column: str, sign: str) -> None:
    years = sorted({int(day[:4]) for day in days["day"]}, reverse=True)
    section("Days", "Sum of the results that became known on each day. Empty days had none.")
    year = years[0]
    if len(years) > 1:
        year = int(st.segmented_control("Year", years, default=years[0], key="calendar_year", required=True) or year)
    chart(
        day_chart(days, year, column, sign, palette()),
        key=f"days-{column}-{year}",
        height=190,
        alt=f"Sum of results by day of {year} in {sign}",
    )
    downloads(days, "days")


def _hours(choice: Choice, zone: str) -> None:
    section(
        "Hours of the week",
        f"Mean R by the hour of the decision, {zone}. A cell with fewer than 30 trades shows their number instead: "
        "few data. Of 42 cells without any edge about two lie outside their own 95 % interval by chance.",
    )
    step = st.segmented_control(
        "Hours together", (4, 1), default=4, format_func=lambda hours: f"{hours} h", key="hours_step", required=True
    )
    step = int(step or 4)
    found = hours_of(choice, zone, step)
    chart(hour_chart(found, step, palette()), key=f"hours-{step}", height=hour_height(step), alt="Mean R by hour")
    with st.expander("As a table, with intervals"):
        lines = [
            {
                "day": DAYS[row["weekday"]],
                "hour": row["hour"],
                "n": row["n"],
                "mean": in_r(row["r"]) if row["enough"] else NOT_ENOUGH,
                "interval": span(in_r(row["low"]), in_r(row["high"])) if row["enough"] else "",
            }
            for row in found.to_dict("records")
        ]
        columns = {"day": "Day", "hour": "From hour", "n": "Closed", "mean": "Mean", "interval": "95 %"}
        table(pd.DataFrame(lines), "hours", columns, export=found)
