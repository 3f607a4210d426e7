"""The statistics of a set of trades: how often, how much, how long, at what cost.

The law: computed from result rows alone (`core.results.rows`), in R, percent and equal-stake money, after all
costs; unfilled candidates are neither wins nor losses and are counted apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.results.equity import equal_stake_curve
from core.results.intervals import Estimate, clustered_mean, clustered_ratio, clustered_share
from core.results.rows import closed_rows, week_of
from core.schema import FloatArray, IntArray

__all__ = ["STATUSES", "Durations", "Summary", "exposure", "summarize"]

STATUSES = ("PENDING", "OPEN", "CLOSED", "EXPIRED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Durations:
    """How long things took; NaN where no trade says.

    Parameters
    ----------
    wait_ms : float
        Median from the decision to the fill, milliseconds.
    hold_ms, hold_p90_ms : float
        Median and 90th percentile from the fill to the known outcome, milliseconds.
    """

    wait_ms: float
    hold_ms: float
    hold_p90_ms: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a set of trades says.

    Parameters
    ----------
    counts : dict of str to int
        Trades by status, every status present.
    n_closed, n_weeks : int
        Closed trades, and the UTC weeks in which they were decided.
    first_ms, last_ms : int
        First decision and last known outcome of the closed trades; 0 without any.
    fill_rate, win_rate, ambiguous : Estimate
        Shares in [0, 1]: filled of all that are filled or over; won after costs of the closed; closed trades whose
        outcome one-minute candles could not order.
    expectancy_r, expectancy_pct, win_r, loss_r, costs_r : Estimate
        Means per closed trade: result in R and in percent of notional, of winners, of losers, fees and funding in R.
    profit_factor : Estimate
        Money won over money lost, equal stakes.
    break_even : float
        Win rate at which these average wins and losses would cancel out; NaN when one of them is missing.
    cost_share : float
        Fees and funding over the gross profit of the winners; NaN without any.
    total_r, total_usd : float
        Sums over closed trades.
    max_drawdown_usd : float
        Deepest fall of the equal-stake curve, <= 0.
    exposure, mean_open : float
        Share of the time with a position open, and mean number of positions open.
    durations : Durations
    """

    counts: dict[str, int]
    n_closed: int
    n_weeks: int
    first_ms: int
    last_ms: int
    fill_rate: Estimate
    win_rate: Estimate
    ambiguous: Estimate
    expectancy_r: Estimate
    expectancy_pct: Estimate
    win_r: Estimate
    loss_r: Estimate
    costs_r: Estimate
    profit_factor: Estimate
    break_even: float
    cost_share: float
    total_r: float
    total_usd: float
    max_drawdown_usd: float
    exposure: float
    mean_open: float
    durations: Durations


def _floats(rows: pd.DataFrame, column: str) -> FloatArray:
    return rows[column].to_numpy(dtype=np.float64)


def _ints(rows: pd.DataFrame, column: str) -> IntArray:
    return rows[column].to_numpy(dtype=np.int64)


def exposure(start_ms: IntArray, end_ms: IntArray) -> tuple[float, float]:
    """Return the share of time with a position open, and the mean number open.

    Parameters
    ----------
    start_ms, end_ms : int64 array
        Each position's time, end exclusive.

    Returns
    -------
    tuple of float
        Over the time from the first start to the last end; zeros without positions.

    Examples
    --------
    >>> exposure(np.array([0, 5, 30]), np.array([10, 15, 40]))
    (0.625, 0.75)
    """
    if len(start_ms) == 0:
        return 0.0, 0.0
    order = np.argsort(start_ms, kind="stable")
    start, end = start_ms[order], end_ms[order]
    reach = np.maximum.accumulate(end)
    span = int(reach[-1] - start[0])
    if span <= 0:
        return 0.0, 0.0
    idle = np.maximum(start[1:] - reach[:-1], 0).sum()
    return 1.0 - float(idle) / span, float((end - start).sum()) / span


def _time_in_market(rows: pd.DataFrame) -> tuple[float, float]:
    filled = rows[(rows["opened_ms"] > 0) & rows["status"].isin(["OPEN", "CLOSED"])]
    still_open = (filled["status"] == "OPEN").to_numpy()
    end = np.where(still_open, _ints(filled, "next_ms"), _ints(filled, "known_ms"))
    start = _ints(filled, "opened_ms")
    return exposure(start, np.maximum(end, start))


def _durations(done: pd.DataFrame) -> Durations:
    if done.empty:
        return Durations(math.nan, math.nan, math.nan)
    wait = _ints(done, "opened_ms") - _ints(done, "decided_ms")
    hold = _ints(done, "known_ms") - _ints(done, "opened_ms")
    return Durations(float(np.median(wait)), float(np.median(hold)), float(np.quantile(hold, 0.9)))


def _costs_r(done: pd.DataFrame) -> FloatArray:
    """Fees and funding in units of the planned risk, which is ``100 * |entry - sl| / entry`` percent."""
    entry = _floats(done, "entry")
    risk_pct = 100.0 * np.abs(entry - _floats(done, "sl")) / entry
    costs: FloatArray = (_floats(done, "fees_pct") + _floats(done, "funding_pct")) / risk_pct
    return costs


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def summarize(rows: pd.DataFrame) -> Summary:
    """Return the statistics of result rows.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`; all of them, or a part such as the taken ones.

    Returns
    -------
    Summary
        Without closed trades every figure is NaN or 0 and nothing is `enough`.

    Notes
    -----
    A trade is won when ``pnl_pct > 0``, after fees and funding. Intervals are clustered by the UTC week of the
    decision (`core.results.intervals`).
    """
    done = closed_rows(rows)
    weeks = week_of(_ints(done, "decided_ms"))
    r, usd = _floats(done, "r_multiple"), _floats(done, "pnl_usd")
    won = _floats(done, "pnl_pct") > 0
    counts = {status: int((rows["status"] == status).sum()) for status in STATUSES}
    settled = rows[rows["status"] != "PENDING"]
    win_r, loss_r = clustered_mean(r[won], weeks[won]), clustered_mean(r[~won], weeks[~won])
    gross_won = _floats(done, "gross_pct")
    costs_pct = _floats(done, "fees_pct") + _floats(done, "funding_pct")
    time_share, mean_open = _time_in_market(rows)
    return Summary(
        counts=counts,
        n_closed=len(done),
        n_weeks=len(np.unique(weeks)),
        first_ms=int(done["decided_ms"].min()) if len(done) else 0,
        last_ms=int(done["known_ms"].max()) if len(done) else 0,
        fill_rate=clustered_share(settled["opened_ms"].to_numpy() > 0, week_of(_ints(settled, "decided_ms"))),
        win_rate=clustered_share(won, weeks),
        ambiguous=clustered_share(_ints(done, "ambiguous") > 0, weeks),
        expectancy_r=clustered_mean(r, weeks),
        expectancy_pct=clustered_mean(_floats(done, "pnl_pct"), weeks),
        win_r=win_r,
        loss_r=loss_r,
        costs_r=clustered_mean(_costs_r(done), weeks),
        profit_factor=clustered_ratio(np.maximum(usd, 0.0), np.maximum(-usd, 0.0), weeks),
        break_even=_ratio(-loss_r.value, win_r.value - loss_r.value),
        cost_share=_ratio(float(costs_pct.sum()), float(gross_won[gross_won > 0].sum())),
        total_r=float(r.sum()),
        total_usd=float(usd.sum()),
        max_drawdown_usd=equal_stake_curve(rows).max_drawdown,
        exposure=time_share,
        mean_open=mean_open,
        durations=_durations(done),
    )
