"""What the page Results reads and counts, kept for one state of the database.

The law: a part is counted when it is looked at, once; what several parts need is counted for all of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.clock import timeframe_ms
from core.dashboard._shared import View
from core.dashboard._source import Snapshot, heads_of, rows_of, series_of
from core.results import costs_split, coverage, montecarlo, returns, rolling, spread
from core.results.equity import Curve, account_curve, equal_stake_curve
from core.results.holding import Closes, Held, hold
from core.results.reliability import told_once
from core.results.rows import closed_rows, taken_rows
from core.results.statistics import Summary, summarize
from core.results.tables import breakdown, exit_reason_table
from core.store.reader import Reader

__all__ = [
    "Choice",
    "chances_of",
    "costs_of",
    "curves_of",
    "ends_of",
    "fan_of",
    "gating_of",
    "groups_of",
    "held_of",
    "hours_of",
    "kept_of",
    "months_and_days_of",
    "rolling_of",
    "rows_chosen",
    "said_of",
    "spread_of",
    "summary_of",
]

_KEPT_S = 900


@dataclass(frozen=True, slots=True)
class Choice:
    """Which trades are looked at.

    Parameters
    ----------
    snapshot : Snapshot
    exchange, plan_hash, exit_policy : str
    taken : bool
        The taken ones alone; all candidates otherwise.
    """

    snapshot: Snapshot
    exchange: str
    plan_hash: str
    exit_policy: str
    taken: bool = False


def rows_chosen(choice: Choice) -> pd.DataFrame:
    """Return the result rows of a choice."""
    rows = rows_of(choice.snapshot, choice.exchange, choice.plan_hash, choice.exit_policy)
    return taken_rows(rows) if choice.taken else rows


def summary_of(choice: Choice) -> Summary:
    """Return the statistics of a choice."""
    everything, taken = _summaries(replace(choice, taken=False))
    return taken if choice.taken else everything


@st.cache_data(ttl=_KEPT_S, max_entries=8, show_spinner=False)
def _summaries(choice: Choice) -> tuple[Summary, Summary]:
    rows = rows_chosen(choice)
    return summarize(rows), summarize(taken_rows(rows))


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def curves_of(choice: Choice, capital_usd: float | None) -> tuple[Curve, float, Curve | None]:
    """Return the equal-stake curve, the stake behind it, USD, and the account, None where its capital is not known."""
    rows = rows_chosen(choice)
    done = closed_rows(rows)
    moved = done[done["pnl_pct"] != 0]
    stake_usd = float((100.0 * moved["pnl_usd"] / moved["pnl_pct"]).median()) if len(moved) else 0.0
    account = None if capital_usd is None else account_curve(rows, capital_usd)
    return equal_stake_curve(rows), stake_usd, account


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def ends_of(choice: Choice) -> pd.DataFrame:
    """Return how the trades that are over ended."""
    return exit_reason_table(rows_chosen(choice))


@st.cache_data(ttl=_KEPT_S, max_entries=8, show_spinner=False)
def groups_of(choice: Choice, by: str) -> pd.DataFrame:
    """Return the closed trades split by one column."""
    return breakdown(rows_chosen(choice), by)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def held_of(snapshot: Snapshot, exchange: str, symbols: tuple[str, ...], start_ms: int, end_ms: int) -> Held | None:
    """Return what buying the symbols at `start_ms` and holding them would have made, from the longest candles."""
    reader, series = Reader(Path(snapshot.path)), series_of(snapshot)
    series = series[series["exchange"] == exchange]
    closes: dict[str, Closes] = {}
    for symbol in symbols:
        stored = series.loc[series["symbol"] == symbol, "timeframe"]
        if stored.empty:
            continue
        timeframe = max(stored, key=timeframe_ms)
        step = timeframe_ms(timeframe)
        found = reader.candles(exchange, symbol, timeframe, start_ms - 2 * step, end_ms)
        closes[symbol] = (found.ts + step, found.close)
    return hold(closes, start_ms, end_ms)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def months_and_days_of(choice: Choice, zone: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the sums by month and by day on a zone's calendar."""
    rows = rows_chosen(choice)
    return returns.monthly(rows, zone), returns.daily(rows, zone)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def hours_of(choice: Choice, zone: str, step: int) -> pd.DataFrame:
    """Return the mean result by day of the week and hour of the decision."""
    return returns.hourly(rows_chosen(choice), zone, step)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def spread_of(choice: Choice) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return results by size, by time held, and the furthest moves of each trade."""
    rows = rows_chosen(choice)
    return spread.sizes(rows), spread.held(rows), spread.excursions(rows)


@st.cache_data(ttl=_KEPT_S, max_entries=8, show_spinner=False)
def rolling_of(choice: Choice, window: int) -> pd.DataFrame:
    """Return win rate and expectancy over the last so many trades."""
    return rolling.rolling(rows_chosen(choice), window)


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def fan_of(choice: Choice) -> montecarlo.Fan | None:
    """Return drawn sequences of the weeks on record; None where there are too few."""
    return montecarlo.fan(rows_chosen(choice))


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def costs_of(choice: Choice) -> costs_split.CostSplit:
    """Return what a trade made before costs and what each cost took."""
    reader = Reader(Path(choice.snapshot.path))
    _, params = reader.exit_policies().get(choice.exit_policy, ("", "{}"))
    slippage = json.loads(params).get("costs", {}).get("slippage_pct")
    legs = reader.crossed(choice.exchange, choice.plan_hash, choice.exit_policy)
    return costs_split.split_costs(rows_chosen(choice), legs, None if slippage is None else float(slippage))


@st.cache_data(ttl=_KEPT_S, max_entries=2, show_spinner=False)
def said_of(snapshot: Snapshot, exchange: str, plan_hash: str, exit_policy: str) -> pd.DataFrame:
    """Return what was said of finished candidates before their outcome: live where somebody did, else by a walk-forward
    that knew nothing later.

    Returns
    -------
    pandas.DataFrame
        signal_id, source, decided_ms, p, ev_pct, won, r_multiple.
    """
    reader = Reader(Path(snapshot.path))
    said = reader.ledger_rows(exchange, exit_policy, plan_hash, ledger=reader.newest_ledger(exchange) or None)
    once = told_once(said).reset_index(drop=True)
    heads = heads_of(snapshot, exchange).set_index("id")
    # A candidate newer than the heads that are kept has no plan here yet, and so no expected value.
    plans = heads[["entry", "sl"]].reindex(once["signal_id"].to_numpy()).reset_index(drop=True)
    return once[["signal_id", "source", "decided_ms", "p", "r_multiple"]].assign(
        ev_pct=100.0 * once["ev_r"] * (plans["entry"] - plans["sl"]).abs() / plans["entry"],
        won=once["won"].astype("int64"),
    )


@st.cache_data(ttl=_KEPT_S, max_entries=4, show_spinner=False)
def kept_of(
    snapshot: Snapshot, exchange: str, plan_hash: str, exit_policy: str, score: str, live: float | None
) -> pd.DataFrame:
    """Return what thresholds of a score (``ev_pct`` or ``p``) keep, and how that did."""
    said = said_of(snapshot, exchange, plan_hash, exit_policy)
    return coverage.coverage(said[score], said["won"], said["r_multiple"], said["decided_ms"], live)


@st.cache_data(ttl=_KEPT_S, max_entries=2, show_spinner=False)
def chances_of(snapshot: Snapshot, exchange: str, plan_hash: str) -> pd.DataFrame:
    """Return the chances given to candidates of a plan, filled or not, and how many passed."""
    reader = Reader(Path(snapshot.path))
    found = reader.signals(exchange=exchange, plan_hash=plan_hash, columns=["ml_p", "verdict", "in_sample"])
    found = found[found["in_sample"] == 0]
    return coverage.chances(found["ml_p"].to_numpy(np.float64), (found["verdict"] == "PASS").to_numpy())


@st.cache_data(ttl=_KEPT_S, max_entries=2, show_spinner=False)
def _newest_gating(snapshot: Snapshot) -> dict[str, Any]:
    rows = Reader(Path(snapshot.path)).thresholds(limit=1)
    return dict(json.loads(rows["gating"].iloc[0])) if len(rows) else {}


def gating_of(view: View) -> tuple[str, float | None, int]:
    """Return the score the gate goes by (``ev_pct`` or ``p``), its general threshold, None where nobody says, and how
    many pairs have one of their own."""
    gating = _newest_gating(view.snapshot)
    if not gating and view.source.config is not None:
        gating = view.source.config.models.meta.gating.model_dump()
    if not gating:
        return "ev_pct", None, 0
    score, name = ("ev_pct", "min_ev_pct") if gating.get("use_ev", True) else ("p", "threshold")
    floor = gating.get("floors", {}).get(name, 0.0)
    own = sum(len(timeframes) for timeframes in gating.get("per_pair_tf", {}).values())
    return score, max(float(gating.get(name, 0.0)), float(floor)), own
