"""Distribution: sizes, excursions, time held, rolling rates, and how the same weeks could have fallen.

The law: every trade is in the picture or counted beside it; what needs many trades says so without them.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.dashboard._parts import chart, downloads, section
from core.dashboard._results_book import book, few
from core.dashboard._shared import View
from core.dashboard._source_results import Choice, fan_of, rolling_of, spread_of, summary_of
from core.dashboard._spread_charts import (
    excursion_chart,
    fall_chart,
    fan_chart,
    held_chart,
    rolling_chart,
    size_chart,
)
from core.dashboard._theme import palette
from core.results.intervals import MIN_CLOSED
from core.results.montecarlo import MIN_BLOCKS, fan_table
from core.results.words import in_percent, in_r, in_r_unsigned, span

__all__ = ["by_spread"]

_HEIGHT = 320


def by_spread(view: View, choice: Choice) -> None:
    """Draw the part."""
    choice = book(choice, "spread")
    summary = summary_of(choice)
    if not summary.n_closed:
        few("no closed trade yet.")
        return
    if summary.n_closed < MIN_CLOSED:
        few(f"{summary.n_closed} closed, {MIN_CLOSED} needed for any shape to mean something.")
    sizes, held, excursions = spread_of(choice)
    left, right = st.columns(2)
    with left:
        section("Results", "Closed trades by result, after costs. One R is the planned risk.")
        mean = summary.expectancy_r.value
        chart(size_chart(sizes, mean, palette()), key="sizes", height=_HEIGHT, alt="Closed trades by result in R")
        downloads(sizes, "sizes")
    with right:
        section("Time held", "From the fill until the outcome was known.")
        chart(held_chart(held, palette()), key="held", height=_HEIGHT, alt="Closed trades by time held, won and lost")
        downloads(held, "time-held")
    section(
        "Excursions",
        _left_out(len(excursions), summary.n_closed),
        help="MAE, the maximum adverse excursion: the furthest move against a trade while it was open. MFE, the "
        "maximum favourable excursion: the furthest in favour. Losers far to the top once earned; winners far to the "
        "right were nearly stopped.",
    )
    chart(excursion_chart(excursions, palette()), key="excursions", height=380, alt="Furthest moves of each trade")
    downloads(excursions, "excursions")
    _rolling(view, choice, summary.break_even)
    _fan(choice)


def _left_out(shown: int, n: int) -> str:
    told = "Each closed trade by how far price went against it and in its favour, in R."
    return told if shown == n else f"{told} The newest {shown:,} of {n:,}."


def _rolling(view: View, choice: Choice, break_even: float) -> None:
    section(
        "Lately",
        "Win rate and expectancy over the last so many trades, with the 95 % interval of just these. Windows overlap: "
        "neighbouring points are nearly the same trades.",
    )
    window = st.segmented_control(
        "Trades in the window", (50, 100, 200), default=100, key="rolling_window", required=True
    )
    found = rolling_of(choice, int(window or 100))
    if found.empty:
        few(f"fewer than {window} closed trades.")
        return
    left, right = st.columns(2)
    zone, look = view.source.zone, palette()
    with left:
        option = rolling_chart(found, "win", zone, look, 100.0 * break_even)
        chart(option, key="rolling-win", height=_HEIGHT, alt="Rolling win rate")
    with right:
        option = rolling_chart(found, "r", zone, look, 0.0)
        chart(option, key="rolling-r", height=_HEIGHT, alt="Rolling expectancy")
    downloads(found, "rolling")


def _fan(choice: Choice) -> None:
    section(
        "The same weeks, drawn again",
        "A block bootstrap: 2,000 sequences of weeks drawn with replacement from those on record (trades of one week "
        "stay together). The band holds 90 % of them at each week, the darker one half. It shows how much is luck of "
        "order and draw; it knows no week of a kind that has not happened, and forecasts nothing.",
    )
    found = fan_of(choice)
    if found is None:
        few(f"{MIN_CLOSED} closed trades in {MIN_BLOCKS} different weeks are needed.")
        return
    left, right = st.columns(2)
    with left:
        chart(fan_chart(found, palette()), key="fan", height=_HEIGHT, alt="Realised sum of R and the drawn band")
        low, high = np.quantile(found.final, (0.05, 0.95))
        st.caption(
            f"Realised {in_r(found.realised[-1])}; 90 % of draws end between {span(in_r(low), in_r(high))}, "
            f"{in_percent(found.loss_share)} below zero. n = {found.n:,}, {found.weeks} weeks."
        )
    with right:
        chart(fall_chart(found, palette()), key="falls", height=_HEIGHT, alt="Deepest falls of the drawn sequences")
        middle, deep = (float(value) for value in np.quantile(found.fall, (0.5, 0.95)))
        deeper = float(np.mean(found.fall > found.realised_fall))
        st.caption(
            f"Deepest fall: realised {in_r_unsigned(found.realised_fall)}, median of draws {in_r_unsigned(middle)}, "
            f"one in twenty deeper than {in_r_unsigned(deep)}; {in_percent(deeper)} were deeper than the realised."
        )
    downloads(fan_table(found), "fan")
