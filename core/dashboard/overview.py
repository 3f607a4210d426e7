"""Overview: is it alive, what is open, what is new, is it any good.

The law: one screen of figures that are counted elsewhere; each leads to the page that explains it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.clock import HOUR_MS, format_ms
from core.dashboard._overlay import price_text
from core.dashboard._parts import chart, no_signals, section, table, tile
from core.dashboard._positions import progress_chart, progress_height
from core.dashboard._shared import View, show
from core.dashboard._source import newest_signals, policies_of, series_of, trades_of
from core.dashboard._source_overview import Book, alike_of, book_of, evidence_of, open_positions, price_of
from core.dashboard._theme import palette
from core.results.metrics import Metric
from core.results.positions import exposure_of, extremes
from core.results.words import in_r, in_signed_percent, in_usd

__all__ = ["page"]

_HOLD_S = 10.0
_NEWEST = 8
_TILE = 116  # pixels: about the height of a tile
_SHOWN = ("Win rate", "Profit factor", "Expectancy")


def page() -> None:
    """Draw the page."""
    show("Overview", _body, _HOLD_S)


def _body(view: View) -> None:
    policies = policies_of(view.snapshot, view.exchange)
    first, second = st.columns(4), st.columns(4)
    with first[0]:
        _price(view)  # before anything is counted: the first thing to see
    held = open_positions(view.snapshot, view.exchange, policies[0]) if policies else pd.DataFrame()
    with first[1]:
        _open(held)
    with first[2], st.skeleton(height=_TILE):
        book = _book(view, policies)
    drawn: list[Callable[[], None]] = [
        partial(_today, book),
        partial(_equity, view.source.capital_usd, book),
        *(partial(_figure, label, book.figures.get(label)) for label in _SHOWN),
        partial(_evidence, view),
    ]
    for place, draw in zip((*first[2:], *second), drawn, strict=True):
        with place:
            draw()
    newest, standing = st.columns([5, 3], gap="medium")
    with newest:
        _newest(view)
    with standing:
        _standing(held)
    _together(view, held)


def _book(view: View, policies: list[str]) -> Book:
    if not policies:
        return Book(0, {})
    series = series_of(view.snapshot)
    now_ms = int(series.loc[series["exchange"] == view.exchange, "frontier_ms"].max())
    return book_of(view.snapshot, view.exchange, policies[0], view.source.capital_usd, now_ms)


def _price(view: View) -> None:
    series = series_of(view.snapshot)
    symbols = series.loc[(series["exchange"] == view.exchange) & (series["timeframe"] == "1m"), "symbol"]
    symbol = view.source.first_symbol if view.source.first_symbol in set(symbols) else str(symbols.iloc[0])
    found = price_of(view.snapshot, view.exchange, symbol)
    if found is None:
        tile(symbol.split(":")[0], "-", "no candle yet")
        return
    close, change, course = found
    tile(
        symbol.split(":")[0],
        price_text(close),
        "over 24 hours",
        "The newest stored close of the first configured symbol, and its course over the 24 hours before.",
        delta=in_signed_percent(change),
        spark=course,
        good=change >= 0,
    )


def _open(held: pd.DataFrame) -> None:
    states = held["status"].tolist() if len(held) else []
    filled = states.count("OPEN")
    worth_r = float(held["worth_r"].sum()) if len(held) else 0.0
    tile(
        "Open positions",
        str(filled),
        f"{states.count('PENDING')} orders waiting",
        "Taken trades that are filled and not over. R is what they have realised, after the costs paid, and what "
        "the newest closes make of the rest, before the cost of leaving; one R is the planned risk, the distance from "
        "entry to stop.",
        delta=in_r(worth_r) if filled else None,
        good=worth_r >= 0,
    )


def _today(book: Book) -> None:
    tile(
        "Today's result",
        in_usd(book.today_usd),
        f"{book.today_n} trades over since 00:00 UTC",
        "Realised result of the taken trades that ended on this UTC day, after all costs, with their planned sizes.",
        delta=in_r(book.today_r) if book.today_n else None,
        good=book.today_usd >= 0,
    )


def _equity(capital: float | None, book: Book) -> None:
    if capital is None:
        tile("Account", "-", "needs the configuration (risk.capital_usd)")
        return
    if book.balance is None or book.fall is None:
        tile("Account", f"{capital:,.2f} USD", "no taken trade yet")
        return
    tile(
        book.balance.label,
        book.balance.value,
        f"deepest fall {book.fall.value}",
        f"{book.balance.explanation} {book.fall.explanation}",
        delta=in_signed_percent(book.change_pct),
        spark=book.course,
        good=book.change_pct >= 0,
    )


def _figure(label: str, metric: Metric | None) -> None:
    if metric is None:
        tile(label, "-", "no taken trade yet")
    else:
        tile(metric.label, metric.value, metric.detail, metric.explanation)


def _evidence(view: View) -> None:
    version, evidence = evidence_of(view.snapshot)
    slices = evidence.slices.values() if evidence is not None else []
    certified = sum(one.certified for one in slices)
    detail = "no model is in force"
    if version:
        detail = "thresholds were never tuned"
    if evidence is not None and evidence.tuned_ms:
        detail = f"of {len(slices)} slices, tuned {format_ms(evidence.tuned_ms, view.source.zone)[:10]}"
    tile(
        "Evidence",
        str(certified) if certified else "None",
        detail,
        "Slices of the market (all, timeframes, pairs, volatility) for which predictions made without knowing the "
        "outcome were shown to earn after costs. None is a normal state: then nothing is shown to have an edge.",
    )


def _newest(view: View) -> None:
    section("Newest signals", "The last plans the rules proposed, taken or not. Open one to see it on its candles.")
    listed = newest_signals(view.snapshot, view.exchange, None, None, _NEWEST)
    if listed.empty:
        no_signals()
        return
    trades = trades_of(view.snapshot, tuple(int(number) for number in listed["id"]))
    mine = trades.drop_duplicates("signal_id", keep="last").set_index("signal_id")
    status = listed["id"].map(mine["status"]).fillna("")
    told = pd.DataFrame(
        {
            "open": [f"signals?signal={number}" for number in listed["id"]],
            "decided": pd.to_datetime(listed["decided_ms"], unit="ms", utc=True),
            "symbol": [str(symbol).split(":")[0] for symbol in listed["symbol"]],
            "timeframe": listed["timeframe"],
            "direction": listed["direction"],
            "verdict": listed["verdict"],
            "p": listed["ml_p"],
            "ev": listed["ev_pct"],
            "status": status,
        }
    )
    hidden = {name for name in ("p", "ev") if told[name].isna().all()}
    table(told, "newest-signals", _columns(view.source.zone), column_order=[c for c in told if c not in hidden])


def _columns(zone: str) -> dict[str, Any]:
    return {
        "open": st.column_config.LinkColumn("ID", display_text=r"signal=(\d+)", width=56),
        "decided": st.column_config.DatetimeColumn(
            f"Decided ({zone})", format="MM-DD HH:mm", timezone=zone, width=104, help="When the plan was made."
        ),
        "symbol": st.column_config.TextColumn("Pair", width=84),
        "timeframe": st.column_config.TextColumn("TF", help="Timeframe: length of the candles.", width=46),
        "direction": st.column_config.TextColumn("Side", width=54),
        "verdict": st.column_config.TextColumn(
            "Verdict", width=92, help="What the gate said: PASS, or why not. UNGATED: no model was in force."
        ),
        "p": st.column_config.NumberColumn("p(win)", format="%.2f", help="Calibrated chance of a win.", width=60),
        "ev": st.column_config.NumberColumn(
            "EV %", format="%+.2f", help="Expected value after costs, percent of the position.", width=58
        ),
        "status": st.column_config.TextColumn("Trade", width=84, help="Every signal is played, taken or not."),
    }


def _standing(held: pd.DataFrame) -> None:
    section("Open trades", "From stop to target in R, the planned risk. A waiting order has no price mark yet.")
    if held.empty:
        st.info("No taken trade is open or waiting.", icon=":material/hourglass_empty:")
        return
    shown = held.head(12)
    chart(
        progress_chart(shown, palette()),
        key="open-trades",
        height=progress_height(len(shown)),
        alt="Open trades between their stops and targets",
    )


def _together(view: View, held: pd.DataFrame) -> None:
    filled = held[held["status"] == "OPEN"] if len(held) else held
    if filled.empty:
        return
    symbols = tuple(sorted(set(filled["symbol"])))
    hour = int(filled["since_ms"].max()) // HOUR_MS
    alike = alike_of(view.snapshot.path, hour, view.exchange, symbols)
    found = exposure_of(held, alike)
    section(
        "Exposure",
        "Pairs that move alike are one bet more than many: what the open positions weigh together, by the correlation "
        "of their hourly returns over 30 days.",
    )
    with st.container(horizontal=True):
        tile(
            "Gross",
            f"{found.gross:,.0f} USD",
            f"{len(filled)} position{'' if len(filled) == 1 else 's'}",
            "Sum of the sizes still held.",
        )
        tile("Net", f"{found.net:+,.0f} USD", "longs less shorts", "Sum of the sizes, shorts counted negative.")
        tile(
            "Together",
            f"{found.together:,.0f} USD",
            "as one bet",
            "Size of a single position that would swing as much: the root of w'Cw, sizes w and correlations C.",
        )
        bets = f"{found.bets:.1f}" if np.isfinite(found.bets) else "they cancel"
        tile("Independent bets", bets, f"of {len(filled)}", "How many unrelated positions would swing as much.")
    ends = extremes(alike)
    if ends is not None:
        least, most = ends
        st.caption(
            f"Most alike: {most[0]} and {most[1]}, {most[2]:+.2f}. Least: {least[0]} and {least[1]}, {least[2]:+.2f}."
        )
