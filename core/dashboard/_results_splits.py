"""Breakdowns: results by symbol, timeframe, direction and more, how trades ended, and taken beside refused.

The law: a group's figures come with their intervals, or are not shown.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.dashboard._columns import EXIT_COLUMNS, GROUP_COLUMNS
from core.dashboard._curves import interval_chart
from core.dashboard._parts import chart, section, table
from core.dashboard._results_book import book
from core.dashboard._shared import View
from core.dashboard._source_results import Choice, ends_of, groups_of
from core.dashboard._theme import palette
from core.results.metrics import NOT_ENOUGH
from core.results.tables import BREAKDOWNS
from core.results.words import in_percent, in_r, span

__all__ = ["by_group", "group_lines"]


def by_group(_view: View, choice: Choice) -> None:
    """Draw the part."""
    choice = book(choice, "groups")
    section(
        "How they ended",
        "Every candidate that is over, by what ended it.",
    )
    ends = ends_of(choice)
    table(_exit_lines(ends), "exit-reasons", EXIT_COLUMNS, export=ends)
    _groups(choice)


def _exit_lines(found: pd.DataFrame) -> pd.DataFrame:
    """Return the table for reading: shares in percent, and no money where no trade was ever open."""
    shown = found.copy()
    shown[["share", "win_rate"]] *= 100.0
    shown[["total_r", "pnl_usd"]] = shown[["total_r", "pnl_usd"]].mask(shown["win_rate"].isna())
    return shown


def group_lines(found: pd.DataFrame) -> pd.DataFrame:
    """Return a breakdown for reading: figures with their intervals, or that there is not enough for them."""
    lines = []
    for row in found.to_dict("records"):
        line = {"group": row["group"], "n": row["n"], "weeks": row["weeks"], "win_rate": NOT_ENOUGH, "win_span": ""}
        line |= {"expectancy_r": NOT_ENOUGH, "r_span": "", "pnl_usd": row["pnl_usd"]}
        if row["enough"]:
            line |= {"win_rate": in_percent(row["win_rate"]), "expectancy_r": in_r(row["expectancy_r"])}
            line["win_span"] = span(in_percent(row["win_low"]), in_percent(row["win_high"]))
            line["r_span"] = span(in_r(row["r_low"]), in_r(row["r_high"]))
        lines.append(line)
    return pd.DataFrame(lines)


def _groups(choice: Choice) -> None:
    section("Split by")
    by = st.segmented_control(
        "Split by",
        list(BREAKDOWNS),
        default="timeframe",
        format_func=lambda name: BREAKDOWNS[name],
        key="split",
        label_visibility="collapsed",
        required=True,
    )
    found = groups_of(choice, str(by))
    if found.empty:
        st.info("No closed trade yet.")
        return
    enough = int(found["enough"].sum())
    if enough:
        chart(
            interval_chart(found, palette()),
            height=72 + 34 * enough,
            key=f"groups-{by}",
            alt="Expectancy of each group with its interval",
        )
    table(group_lines(found), f"split-by-{by}", GROUP_COLUMNS, export=found, most=18)
    st.caption(
        "Intervals are 95 % and hold for one group looked at by itself. The best of many groups looks good by chance: "
        "of twenty without any edge, one is expected outside its interval."
    )
