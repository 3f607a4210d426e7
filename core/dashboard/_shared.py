"""What frames every page: the sidebar, whether the engine is alive, the warnings above every figure, the footer.

The law: a page is never silently empty; it says what is missing and names the command that makes it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from core.clock import MINUTE_MS, format_duration, format_ms, monotonic_s, wall_now_ms
from core.dashboard._parts import empty_state
from core.dashboard._source import (
    Snapshot,
    Source,
    exchanges_of,
    find_source,
    newest_signals,
    series_of,
    snapshot_of,
    synthetic,
)
from core.errors import TraderError
from core.results.metrics import DISCLAIMER, SYNTHETIC, UNGATED

__all__ = ["View", "show"]

STALE_AFTER_MS = 5 * MINUTE_MS  # a running scheduler is at most two minutes behind
REFRESH_S = 30


@dataclass(frozen=True, slots=True)
class View:
    """What a page draws from.

    Parameters
    ----------
    source : Source
    snapshot : Snapshot
        The database at this refresh.
    exchange : str
    """

    source: Source
    snapshot: Snapshot
    exchange: str


def show(title: str, body: Callable[[View], None], hold_s: float) -> None:
    """Draw a page: sidebar, then its body, refreshed by itself when asked to.

    Parameters
    ----------
    title : str
    body : callable
        Draws the page from a `View`.
    hold_s : float
        How long one state of the database is good for, seconds: what the page reads is read once in that time.
    """
    st.title(title, anchor=False)
    try:
        _framed(title, body, hold_s)
    except TraderError as error:
        st.error(str(error), icon=":material/error:")
    st.divider()
    st.caption(DISCLAIMER)


def _framed(title: str, body: Callable[[View], None], hold_s: float) -> None:
    source = find_source(os.environ)
    if not source.path.exists():
        _no_database(source)
        return
    exchange = _sidebar(source, snapshot_of(source.path))

    def refreshed() -> None:
        try:
            view = View(source, _held_snapshot(source.path, title, hold_s), exchange)
            if _banners(view):
                body(view)
        except TraderError as error:
            st.error(str(error), icon=":material/error:")

    refreshing = st.session_state.get("refresh", True)
    st.fragment(refreshed, run_every=max(REFRESH_S, hold_s) if refreshing else None)()


def _held_snapshot(path: Path, page: str, hold_s: float) -> Snapshot:
    """Return the database as this page last looked at it, unless that was too long ago."""
    key = f"snapshot {page}"
    taken_s, held = st.session_state.get(key, (-math.inf, None))
    if held is not None and held.path == str(path) and monotonic_s() - taken_s < hold_s:
        return held  # type: ignore[no-any-return]
    fresh = snapshot_of(path)
    st.session_state[key] = (monotonic_s(), fresh)
    return fresh


def _no_database(source: Source) -> None:
    empty_state(
        "No database yet",
        f"There is no file {source.path}.",
        [
            ("python init_db.py", "Make an empty database where config.yaml says:"),
            ("python download_data.py", "Fill it with candles of the configured symbols:"),
            ("make demo", "Or look around first, in a generated market, without network:"),
        ],
    )


def _sidebar(source: Source, snapshot: Snapshot) -> str:
    exchanges = exchanges_of(snapshot)
    with st.sidebar:
        exchange = ""
        if len(exchanges) > 1:
            exchange = st.selectbox("Exchange", exchanges, key="exchange", bind="query-params")
        elif exchanges:
            exchange = exchanges[0]
        st.toggle(
            "Refresh by itself",
            value=True,
            key="refresh",
            persist_state="session",
            help="Looks at the database again by itself, once or twice a minute. Choices and the candles' zoom stay.",
        )
        st.caption(f"Database: {source.path.name}", help=f"`{source.path}`, opened for reading only")
        if source.profile:
            st.caption(f"Profile: {source.profile}")
        if source.problem:
            st.caption(f"Without configuration: {source.problem}")
    return exchange


def _banners(view: View) -> bool:
    """Draw the warnings above every figure; say whether there is anything below them."""
    series = series_of(view.snapshot)
    if series.empty or not view.exchange:
        empty_state(
            "The database is empty",
            "There are no candles yet.",
            [
                ("python download_data.py", "Fetch the history of the configured symbols:"),
                ("python scheduler_run.py", "Or start the engine, which fetches as it goes:"),
                ("make demo", "Or look around first, in a generated market, without network:"),
            ],
        )
        return False
    generated = synthetic(view.snapshot, view.exchange)
    _freshness(view, series[series["exchange"] == view.exchange], generated)
    if generated:
        st.warning(SYNTHETIC, icon=":material/science:")
    newest = newest_signals(view.snapshot, view.exchange, None, None, 1)
    if len(newest) and newest["verdict"].iloc[0] == "UNGATED":
        st.info(UNGATED, icon=":material/lock_open:")
    return True


def _freshness(view: View, series: pd.DataFrame, generated: bool) -> None:
    """Draw the pill: whether the engine is alive, what kind of market this is, and how old its newest candle is."""
    complete = series["frontier_ms"].dropna()
    complete = complete[complete > 0]
    if complete.empty:
        return
    newest = int(complete.max())
    moment = format_ms(newest, view.source.zone)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if generated or view.source.tape:
            kind = "SYNTHETIC" if generated else "REPLAY"
            st.badge(kind, icon=":material/science:" if generated else ":material/history:", color="violet")
            st.caption(f"{view.exchange}: candles up to {moment}, market time.")
            return
        age = wall_now_ms() - newest
        if age <= STALE_AFTER_MS:
            st.badge("ONLINE", icon=":material/sensors:", color="blue")
            st.caption(f"{view.exchange}, live: candles up to {moment}, {format_duration(age)} ago.")
            return
        st.badge("STALE", icon=":material/sensors_off:", color="orange")
        st.caption(f"{view.exchange}: candles up to {moment}.")
    st.warning(
        f"Stale: the newest candle of {view.exchange} closed {moment}, {format_duration(age)} ago. "
        "Is `python scheduler_run.py` running?",
        icon=":material/schedule:",
    )
