"""The chart of Signals & Candles: candles, the marks of signals, the chosen plan, and what is laid over.

The law: a chart that is drawn anew loses the reader's zoom, so it is drawn anew when something was asked for or
happened to the chosen trade, and not because a minute has passed. What came meanwhile is counted beneath it and shown
at a press.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core.clock import timeframe_ms
from core.dashboard._axis import Axis, Option
from core.dashboard._charts import candle_chart, chart_height, marked
from core.dashboard._layers import laid_over
from core.dashboard._overlay import plan_leg, plan_overlay
from core.dashboard._parts import chart, empty_state
from core.dashboard._shared import View
from core.dashboard._source import candles_of, events_of, series_of, signals_between
from core.dashboard._theme import palette
from core.schema import Candles

__all__ = ["PICK", "draw_candles", "let_go"]

PICK = "signal_pick"
"""Where the session keeps the number of the chosen signal; 0 for none."""

_HELD = "candles_held"
_BEFORE, _AFTER = 80, 40  # candles shown around a chosen signal
_AHEAD = 60  # columns shown after the newest candle for a plan that is still valid


@dataclass(frozen=True, slots=True)
class _Held:
    """What was drawn last.

    Parameters
    ----------
    asked : tuple
        What the reader had chosen, and how the chosen trade stood.
    until_ms : int
        Close of the newest candle drawn.
    end_ms : int
        Where the chosen plan ended then; 0 without one.
    """

    asked: tuple[object, ...]
    until_ms: int
    end_ms: int


def let_go() -> None:
    """Have the chart drawn anew, up to the newest candle."""
    st.session_state.pop(_HELD, None)


def draw_candles(
    view: View,
    symbol: str,
    timeframe: str,
    window: int,
    picked: pd.Series | None,
    trades: pd.DataFrame,
    policy: str,
) -> None:
    """Draw the chart of a series.

    Parameters
    ----------
    view : View
    symbol, timeframe : str
    window : int
        Candles at most.
    picked : pandas.Series or None
        The chosen signal.
    trades : pandas.DataFrame
        Its trades.
    policy : str
        The exit policy it is shown under.
    """
    step = timeframe_ms(timeframe)
    mine = trades[trades["exit_policy"] == policy] if policy else trades
    now_end_ms = 0 if picked is None else _end_of(picked, mine)
    asked = _asked(view, symbol, timeframe, window, picked, mine)
    held = _held(asked)
    end_ms = now_end_ms if held is None else held.end_ms
    span = None if picked is None else _span(picked, end_ms)
    until_ms = None if held is None else held.until_ms
    candles = candles_of(view.snapshot, view.exchange, symbol, timeframe, window, span, until_ms)
    if len(candles) == 0:
        empty_state(
            f"No {timeframe} candles of {symbol}",
            "The candles of this time are not stored.",
            [("python download_data.py", "Fetch the history of the configured symbols:")],
        )
        return
    last_ms = int(candles.ts[-1]) + step
    st.session_state[_HELD] = _Held(asked, last_ms, end_ms)
    axis, look = Axis(candles, timeframe, min(_AHEAD, max(0, (end_ms - last_ms + step) // step))), palette()
    overlay: list[Option] = []
    if picked is not None:
        overlay = plan_overlay(axis, picked, end_ms, events_of(view.snapshot, int(picked["id"]), policy), look)
    marks = signals_between(view.snapshot, view.exchange, symbol, timeframe, int(candles.ts[0]), last_ms + 1)
    drawn = laid_over(candles, axis, picked, marks, look)
    number = 0 if picked is None else int(picked["id"])
    key = f"candles-{symbol}-{timeframe}-{number}"
    chart(
        candle_chart(
            candles,
            axis,
            marks,
            [*drawn.shapes, *overlay],
            0 if number else 60,
            look,
            drawn.over,
            drawn.panes,
            drawn.profile,
        ),
        height=chart_height(len(drawn.panes)),
        key=key,
        alt=f"Candles of {symbol} {timeframe} with volume and signals",
        on_select=lambda: _take_mark(key, candles, marks),
    )
    shown_to_ms = None if picked is None else _span(picked, now_end_ms)[1]
    _offer_newer(view, symbol, timeframe, last_ms, shown_to_ms)
    st.caption(
        "Times are UTC. Click a triangle to see its signal. A candle that is missing was not traded or not recorded; "
        "none is made up."
    )


def _asked(
    view: View, symbol: str, timeframe: str, window: int, picked: pd.Series | None, trades: pd.DataFrame
) -> tuple[object, ...]:
    """Return everything that has the chart drawn anew when it changes."""
    stands = trades[["exit_policy", "status", "n_events"]].to_numpy().ravel().tolist() if len(trades) else []
    laid = [tuple(st.session_state.get(name) or ()) for name in ("laid_over", "laid_below")]
    number = 0 if picked is None else int(picked["id"])
    return (view.snapshot.path, view.exchange, symbol, timeframe, window, number, *stands, *laid, palette().background)


def _held(asked: tuple[object, ...]) -> _Held | None:
    held = st.session_state.get(_HELD)
    return held if isinstance(held, _Held) and held.asked == asked else None


def _offer_newer(view: View, symbol: str, timeframe: str, last_ms: int, shown_to_ms: int | None) -> None:
    """Say how many candles came since the chart was drawn, and draw them at a press."""
    series = series_of(view.snapshot)
    mine = series["exchange"].eq(view.exchange) & series["symbol"].eq(symbol) & series["timeframe"].eq(timeframe)
    frontier_ms = int(series.loc[mine, "frontier_ms"].max())
    newest_ms = frontier_ms if shown_to_ms is None else min(frontier_ms, shown_to_ms)
    newer = (newest_ms - last_ms) // timeframe_ms(timeframe)
    if newer > 0:
        st.button(
            f"Show {newer:,} newer candle{'' if newer == 1 else 's'}",
            icon=":material/update:",
            key="newer_candles",
            on_click=let_go,
            help="Drawn when you ask, so that the chart keeps its zoom while the page refreshes itself.",
        )


def _span(signal: pd.Series, end_ms: int) -> tuple[int, int]:
    """Return the time to show around a signal: from before its leg to after its end."""
    step = timeframe_ms(str(signal["timeframe"]))
    leg = plan_leg(str(signal["plan"]))
    first = leg[0][0] if leg else int(signal["ts_ms"])
    return first - _BEFORE * step, end_ms + _AFTER * step


def _end_of(signal: pd.Series, trades: pd.DataFrame) -> int:
    """Return where a plan ends on the chart: with its trade, else with its validity."""
    if trades.empty:
        return int(signal["valid_until_ms"])
    trade = trades.iloc[0]
    if trade["status"] == "OPEN":
        return int(trade["next_ms"])
    return int(trade["closed_ms"]) or int(signal["valid_until_ms"])


def _take_mark(key: str, candles: Candles, marks: pd.DataFrame) -> None:
    """Choose the signal whose mark was clicked."""
    for group in st.session_state[key]["selection"]["selected"]:
        mine = marked(candles, marks, str(group["series_id"]))
        for place in group["data_indices"]:
            if group["series_id"] in ("long", "short") and place < len(mine):
                st.session_state[PICK] = int(mine["id"].iloc[place])
