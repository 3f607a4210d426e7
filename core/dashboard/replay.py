"""Replay: a period of the record played again: candles arrive, signals appear, trades play out, results add up.

The law: read from the database and nothing written; at each moment only what was known by then is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import streamlit as st

from core.clock import DAY_MS, format_ms, timeframe_ms
from core.dashboard._parts import chart, empty_state
from core.dashboard._shared import View, show
from core.dashboard._source import Snapshot, policies_of, series_of
from core.dashboard._stage import earned_chart, stage_chart
from core.dashboard._theme import palette
from core.results.replaying import earned_until, known_at
from core.results.words import in_r
from core.schema import Candles
from core.store.reader import Reader

__all__ = ["page"]

_HOLD_S = 30.0
_SPEEDS = (1, 5, 10, 50)  # candles a second
_TICK_S = 1.0
_LEAD = 160  # candles shown before the period begins
_LONGEST_DAYS = 31
_AT, _PLAYING = "replay_at", "replay_playing"
_SIGNAL_COLUMNS = [
    *(
        "id",
        "ts_ms",
        "decided_ms",
        "symbol",
        "timeframe",
        "direction",
        "verdict",
        "entry",
        "sl",
        "tp1",
        "valid_until_ms",
    )
]


@dataclass(frozen=True)
class Period:
    """What is played.

    Parameters
    ----------
    symbol, timeframe : str
    start_ms, end_ms : int
        ``[start_ms, end_ms)``.
    """

    symbol: str
    timeframe: str
    start_ms: int
    end_ms: int


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def reel_of(
    snapshot: Snapshot, exchange: str, exit_policy: str, period: Period
) -> tuple[Candles, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return candles, signals, trades and events of a period, candles with a lead before it."""
    reader = Reader(Path(snapshot.path))
    lead_ms = _LEAD * timeframe_ms(period.timeframe)
    candles = reader.candles(exchange, period.symbol, period.timeframe, period.start_ms - lead_ms, period.end_ms)
    signals = reader.signals(
        exchange=exchange,
        symbol=period.symbol,
        timeframe=period.timeframe,
        start_ms=period.start_ms - lead_ms,
        end_ms=period.end_ms + 1,
        columns=_SIGNAL_COLUMNS,
    )
    ids = [int(number) for number in signals["id"]]
    trades = reader.trades(signal_ids=ids, exit_policy=exit_policy)
    return candles, signals, trades, reader.events(signal_id=ids, exit_policy=exit_policy)


def page() -> None:
    """Draw the page."""
    show("Replay", _body, _HOLD_S)


def _body(view: View) -> None:
    period = _chosen(view)
    policies = policies_of(view.snapshot, view.exchange)
    reel = reel_of(view.snapshot, view.exchange, policies[0] if policies else "", period)
    if not len(reel[0]):
        empty_state(
            "No candles in this period",
            "Nothing is stored of this series then. Choose another day, or fetch the history.",
            [("python download_data.py", "Fetch the history of the configured symbols:")],
        )
        return
    speed = _controls(period)
    playing = bool(st.session_state.get(_PLAYING))
    st.fragment(lambda: _stage(view, period, reel, speed), run_every=_TICK_S if playing else None)()


def _chosen(view: View) -> Period:
    series = series_of(view.snapshot)
    mine = series[(series["exchange"] == view.exchange) & (series["timeframe"] != "1m")]
    mine = mine if len(mine) else series[series["exchange"] == view.exchange]
    symbols = sorted(mine["symbol"].unique())
    with st.container(horizontal=True):
        symbol = str(st.selectbox("Pair", symbols, key="replay_symbol"))
        rows = mine[mine["symbol"] == symbol]
        timeframes = sorted(rows["timeframe"].unique(), key=timeframe_ms)
        first = timeframes.index("15m") if "15m" in timeframes else 0
        timeframe = str(st.selectbox("Timeframe", timeframes, index=first, key="replay_timeframe"))
        frontier = int(rows.loc[rows["timeframe"] == timeframe, "frontier_ms"].iloc[0])
        newest = datetime.fromtimestamp(max(0, frontier - 1) / 1000, tz=UTC).date()
        start = st.date_input(
            "From (UTC)",
            value=newest - timedelta(days=6),
            max_value=newest,
            key="replay_start",
            help="Plays from here.",
        )
        days = st.number_input("Days", 1, _LONGEST_DAYS, 7, key="replay_days", help=f"At most {_LONGEST_DAYS}.")
    begin = start if isinstance(start, date) else newest
    start_ms = int(datetime(begin.year, begin.month, begin.day, tzinfo=UTC).timestamp() * 1000)
    return Period(symbol, timeframe, start_ms, min(start_ms + int(days) * DAY_MS, frontier))


def _controls(period: Period) -> int:
    """Draw the buttons; return the speed, candles a second."""
    if st.session_state.get("replay_period") != period:
        st.session_state.update({"replay_period": period, _AT: period.start_ms, _PLAYING: False})
    step = timeframe_ms(period.timeframe)
    playing = bool(st.session_state[_PLAYING])
    over = int(st.session_state[_AT]) >= period.end_ms

    def move(by_ms: int, plays: bool) -> None:
        """Move from where it is when the button is pressed, not when it was drawn: it may have played on meanwhile."""
        to_ms = int(st.session_state[_AT]) + by_ms
        st.session_state[_AT] = min(max(to_ms, period.start_ms), period.end_ms)
        st.session_state[_PLAYING] = plays

    back_to_start = period.start_ms - period.end_ms
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Start again", icon=":material/replay:", on_click=move, args=(back_to_start, False))
        st.button("Back", icon=":material/skip_previous:", on_click=move, args=(-step, False))
        st.button(
            "Pause" if playing else "Play",
            icon=":material/pause:" if playing else ":material/play_arrow:",
            type="primary",
            disabled=over,
            on_click=move,
            args=(0, not playing),
        )
        st.button("Step", icon=":material/skip_next:", disabled=over, on_click=move, args=(step, False))
        speed = st.segmented_control(
            "Speed",
            list(_SPEEDS),
            default=_SPEEDS[1],
            format_func=lambda times: f"{times}x",
            key="replay_speed",
            required=True,
            help="Candles a second.",
        )
    return int(speed or _SPEEDS[0])


def _stage(
    view: View,
    period: Period,
    reel: tuple[Candles, pd.DataFrame, pd.DataFrame, pd.DataFrame],
    speed: int,
) -> None:
    candles, signals, trades, events = reel
    if st.session_state.get(_PLAYING):
        ahead = int(st.session_state[_AT]) + speed * timeframe_ms(period.timeframe)
        st.session_state[_AT] = min(ahead, period.end_ms)
    now = int(st.session_state[_AT])
    if now >= period.end_ms and st.session_state.get(_PLAYING):
        st.session_state[_PLAYING] = False
        st.rerun()
    told = known_at(signals, trades, now)
    done = (now - period.start_ms) / max(1, period.end_ms - period.start_ms)
    st.progress(min(1.0, done), text=f"{format_ms(now, view.source.zone)}, {period.symbol} {period.timeframe}")
    within = told[told["decided_ms"] >= period.start_ms]
    _counts(within)
    plans = signals[signals["decided_ms"] <= now].merge(
        told[["signal_id", "state"]], left_on="id", right_on="signal_id", how="left"
    )
    if int(candles.ts[0]) + timeframe_ms(period.timeframe) > now:
        st.info("The record of this series begins later: press Play or Step.", icon=":material/hourglass_empty:")
        return
    chart(
        stage_chart(candles, period.timeframe, now, plans, events, palette()),
        key="replay-candles",
        height=460,
        alt="Candles up to the moment that is played",
    )
    of_period = trades[trades["signal_id"].isin(within["signal_id"])]
    chart(
        earned_chart(earned_until(of_period, now), now, period.start_ms, period.end_ms, palette()),
        key="replay-results",
        height=180,
        alt="Results so far",
    )
    st.caption("Every candidate of this series, taken or not, after costs. Nothing is written.")
    if len(within):
        st.dataframe(
            within.assign(decided=pd.to_datetime(within["decided_ms"], unit="ms", utc=True))[
                ["signal_id", "decided", "direction", "verdict", "state", "result_r", "ended_by"]
            ],
            hide_index=True,
            placeholder="",
            height=min(320, 38 + 35 * len(within)),
            column_config={
                "signal_id": st.column_config.NumberColumn("ID", format="%d"),
                "decided": st.column_config.DatetimeColumn(
                    f"Decided ({view.source.zone})", format="YYYY-MM-DD HH:mm", timezone=view.source.zone
                ),
                "direction": "Side",
                "verdict": "Verdict",
                "state": st.column_config.TextColumn("State then", help="As of the moment played."),
                "result_r": st.column_config.NumberColumn("R", format="%+.2f", help="In units of the planned risk."),
                "ended_by": "Ended by",
            },
        )


def _counts(told: pd.DataFrame) -> None:
    counts = told["state"].value_counts()
    parts = [f"{int(counts.get(state, 0))} {state}" for state in ("waiting", "open", "closed", "unfilled")]
    st.markdown(
        f"**{len(told)} signals so far**: {', '.join(parts)}. Results {in_r(float(told['result_r'].sum()))} in all."
    )
