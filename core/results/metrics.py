"""Statistics in words: each figure with its interval, its count and what it means.

The law: the command line and the viewer show these lines and no other; a rate without enough behind it is written
as "not enough data", never as a figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from core.clock import format_ms
from core.results.equity import Curve
from core.results.intervals import MIN_CLOSED, MIN_WEEKS, Estimate
from core.results.statistics import STATUSES, Summary
from core.results.words import as_factor, in_percent, in_r, in_r_unsigned, in_signed_percent, in_time, in_usd, span

__all__ = [
    "DISCLAIMER",
    "NOT_ENOUGH",
    "SYNTHETIC",
    "UNGATED",
    "Metric",
    "account_metrics",
    "conclusion",
    "counted",
    "metrics",
]

NOT_ENOUGH = "not enough data"
SYNTHETIC = "SYNTHETIC MARKET: every figure here is made of generated candles."
UNGATED = "UNGATED: no model is in force. Every candidate of the rules is shown; none was judged."
DISCLAIMER = (
    "Simulated results of rules on past candles, after modelled costs. They are no promise about the future "
    "and no financial advice."
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure for a person.

    Parameters
    ----------
    label : str
    value : str
        The figure, or `NOT_ENOUGH`.
    detail : str
        Its 95 % interval and count, or what is missing.
    explanation : str
        What the term means, in plain words.
    enough : bool
        Whether it may be read as a figure.
    """

    label: str
    value: str
    detail: str
    explanation: str
    enough: bool


def _missing(n: int, weeks: int, of: str) -> str:
    if n < MIN_CLOSED:
        return f"{n} {of}, {MIN_CLOSED} needed"
    return f"{n} {of} in {weeks} week{'' if weeks == 1 else 's'}, {MIN_WEEKS} weeks needed"


def _estimated(
    label: str, estimate: Estimate, write: Callable[[float], str], explanation: str, of: str = "closed"
) -> Metric:
    if not estimate.enough:
        return Metric(label, NOT_ENOUGH, _missing(estimate.n, estimate.weeks, of), explanation, False)
    low, high = write(estimate.low), write(estimate.high)
    detail = f"95 %: {span(low, high)}, n = {estimate.n:,}" if math.isfinite(estimate.low) else f"n = {estimate.n:,}"
    return Metric(label, write(estimate.value), detail, explanation, True)


def _derived(label: str, value: float, write: Callable[[float], str], summary: Summary, explanation: str) -> Metric:
    if not summary.expectancy_r.enough or not math.isfinite(value):
        return Metric(label, NOT_ENOUGH, _missing(summary.n_closed, summary.n_weeks, "closed"), explanation, False)
    return Metric(label, write(value), f"n = {summary.n_closed:,}", explanation, True)


def _outcomes(s: Summary) -> list[Metric]:
    return [
        Metric(
            "Closed trades",
            f"{s.n_closed:,}",
            f"in {s.n_weeks:,} week{'' if s.n_weeks == 1 else 's'}",
            "Candidates that were filled and are over. Only these can be won or lost.",
            True,
        ),
        _estimated(
            "Expectancy",
            s.expectancy_r,
            in_r,
            "Mean result of a closed trade after all costs, in R. One R is the planned risk: the distance from entry "
            "to stop. Above 0 earns, below 0 loses. The interval counts trades of one week as one cluster.",
        ),
        _estimated(
            "Expectancy, %",
            s.expectancy_pct,
            in_signed_percent,
            "Mean result of a closed trade after all costs, in percent of the position.",
        ),
        _estimated(
            "Win rate",
            s.win_rate,
            in_percent,
            "Share of closed trades that earned something after costs. Says little without the size of wins and "
            "losses: compare it with the break-even rate.",
        ),
        _derived(
            "Break-even rate",
            s.break_even,
            in_percent,
            s,
            "The win rate at which wins and losses of this average size cancel out.",
        ),
        _estimated(
            "Profit factor",
            s.profit_factor,
            as_factor,
            "Money won divided by money lost at equal stakes, after costs. Above 1 earns.",
        ),
        _estimated("Average win", s.win_r, in_r, "Mean result of the closed trades that were won.", "won"),
        _estimated("Average loss", s.loss_r, in_r, "Mean result of the closed trades that were lost.", "lost"),
    ]


def _conduct(s: Summary) -> list[Metric]:
    held = f"90 % within {in_time(s.durations.hold_p90_ms)}" if s.n_closed else "no closed trade"
    return [
        *stake_metrics(s),
        _estimated(
            "Fill rate",
            s.fill_rate,
            in_percent,
            "Share of candidates whose entry order was filled, of those that are filled or over. Unfilled ones expire "
            "or are cancelled because price ran away; they cost nothing and win nothing.",
            "settled",
        ),
        _estimated(
            "Costs a trade",
            s.costs_r,
            in_r_unsigned,
            "Mean fees and funding of a closed trade in R; slippage is in the prices.",
        ),
        _derived(
            "Costs, share of gross profit",
            s.cost_share,
            in_percent,
            s,
            "Fees and funding of all closed trades, divided by what the winning ones made before them.",
        ),
        _estimated(
            "Ambiguous",
            s.ambiguous,
            in_percent,
            "Share of closed trades in which one minute touched both stop and target. The order inside the minute is "
            "not known; the pessimistic one is assumed unless configured otherwise.",
        ),
        Metric(
            "Time in market",
            in_percent(s.exposure),
            f"{s.mean_open:.1f} positions open on average",
            "Exposure: share of the time with at least one position open.",
            True,
        ),
        Metric(
            "Time held, median",
            in_time(s.durations.hold_ms),
            held,
            "From the fill to the end of the trade.",
            True,
        ),
        Metric(
            "Wait for the fill, median",
            in_time(s.durations.wait_ms),
            "from the decision, closed trades",
            "How long the entry order rested before it was filled.",
            True,
        ),
    ]


def metrics(summary: Summary) -> list[Metric]:
    """Return every figure of a summary, in the order in which they are read.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    list of Metric
        Always the same labels in the same order, so that two lists can stand side by side.
    """
    return [*_outcomes(summary), *_conduct(summary)]


def stake_metrics(s: Summary) -> list[Metric]:
    """Return the figures of the equal-stake curve."""
    return [
        Metric(
            "Result, equal stakes",
            in_usd(s.total_usd),
            f"{s.total_r:+,.1f} R over {s.n_closed:,} trades",
            "Sum of all closed trades when each is made with the same amount of money.",
            True,
        ),
        Metric(
            "Deepest fall, equal stakes",
            in_usd(s.max_drawdown_usd),
            "from a high of the curve",
            "Maximum drawdown: the largest drop from a high of the equal-stake curve. "
            "A longer history has deeper ones.",
            True,
        ),
    ]


def account_metrics(curve: Curve) -> list[Metric]:
    """Return the figures of the paper account.

    Parameters
    ----------
    curve : Curve
        From `equity.account_curve`.
    """
    change = 100.0 * (curve.end - curve.start) / curve.start if curve.start > 0 else math.nan
    return [
        Metric(
            "Account",
            f"{curve.end:,.2f} USD",
            f"{in_signed_percent(change)} from {curve.start:,.2f} USD, n = {len(curve.balance):,}",
            "The paper account: taken trades only, each with its own planned size, profits not reinvested.",
            True,
        ),
        Metric(
            "Deepest fall, account",
            in_signed_percent(curve.max_drawdown_pct),
            f"{in_usd(curve.max_drawdown)} from its high",
            "Maximum drawdown of the paper account, in percent of the highest balance before it.",
            True,
        ),
    ]


def conclusion(summary: Summary) -> str:
    """Say in one sentence what the expectancy allows to be said.

    Parameters
    ----------
    summary : Summary
    """
    e = summary.expectancy_r
    if not e.enough:
        return f"Not enough data to judge: {_missing(e.n, e.weeks, 'closed')}."
    told = f"{in_r(e.value)} a trade, 95 % interval {span(in_r(e.low), in_r(e.high))}, n = {e.n:,}"
    if e.low > 0:
        return f"These trades earned after costs ({told}); the interval lies above zero."
    if e.high < 0:
        return f"These trades lost after costs ({told}); the interval lies below zero."
    return f"No evidence of an edge ({told}); the interval includes zero."


def counted(summary: Summary, left_out: int) -> str:
    """Say what was counted: candidates by status, the time they cover, and what was left out.

    Parameters
    ----------
    summary : Summary
    left_out : int
        Signals judged by a model that had seen their outcome.
    """
    told = ", ".join(f"{status.lower()} {summary.counts[status]:,}" for status in STATUSES)
    period = ""
    if summary.n_closed:
        period = f" Closed ones from {format_ms(summary.first_ms)} to {format_ms(summary.last_ms)}."
    note = f" {left_out:,} judged by a model that had seen their outcome are left out." if left_out else ""
    return f"Candidates: {told}.{period}{note}"
