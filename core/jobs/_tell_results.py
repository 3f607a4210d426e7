"""Commands about results: the account, a day, a week, the record, the funnel, the probabilities.

The law: the words and figures are those of the command line and the viewer; intervals stand beside rates, and too few
results are said to be too few.
"""

from __future__ import annotations

import asyncio

import pandas as pd

from core.clock import DAY_MS
from core.jobs import funnel, reliability
from core.jobs._asking import Ask, Reply
from core.jobs._period import live_rows, period_of
from core.jobs._subject import subject_of
from core.results.bot import account_words, metric_lines, titled
from core.results.equity import account_curve
from core.results.explain import escaped
from core.results.metrics import DISCLAIMER, conclusion, counted, metrics
from core.results.rows import SIGNAL_COLUMNS, result_rows, taken_rows
from core.results.statistics import summarize
from core.results.summary import summary_lines

__all__ = ["balance", "daily", "funnel_told", "performance", "reliability_told", "weekly"]


def balance(ask: Ask) -> Reply:
    """Say how the paper account stands."""
    rows = live_rows(ask.desk)
    curve = account_curve(rows, ask.desk.config.risk.capital_usd)
    running = rows[rows["status"].isin(["OPEN", "PENDING"])]
    at_stake = (running["position_notional"] * (running["entry"] - running["sl"]).abs() / running["entry"]).sum()
    return Reply(account_words(curve, float(at_stake), len(running), ask.moment))


def daily(ask: Ask) -> Reply:
    """Say what the last 24 hours brought."""
    return _period(ask, "Last 24 hours", DAY_MS)


def weekly(ask: Ask) -> Reply:
    """Say what the last 7 days brought."""
    return _period(ask, "Last 7 days", 7 * DAY_MS)


def _period(ask: Ask, title: str, length_ms: int) -> Reply:
    facts = period_of(ask.desk, title, ask.now_ms - length_ms, ask.now_ms)
    first, *lines = [escaped(line) for line in summary_lines(facts, ask.desk.config.app.timezone)]
    return Reply(titled(first, lines, ask.moment))


def performance(ask: Ask) -> Reply:
    """Say what the whole record says, taken or not, live or by scans of the past."""
    desk = ask.desk
    subject = subject_of(desk)
    signals = desk.reader.signals(exchange=desk.exchange, columns=["id", *SIGNAL_COLUMNS])
    trades = desk.reader.trades(exchange=desk.exchange, exit_policy=subject.exit_policy or None)
    parts = [result_rows(trades, signals[signals["plan_hash"] == plan]) for plan in subject.plans]
    rows = pd.concat(parts, ignore_index=True) if parts else result_rows(trades.iloc[:0], signals.iloc[:0])
    of_plans = signals[signals["plan_hash"].isin(subject.plans)]
    everything, taken = summarize(rows), summarize(taken_rows(rows))
    lines = [
        escaped(counted(everything, int((of_plans["in_sample"] == 1).sum()))),
        escaped(conclusion(everything)),
        "",
        "<b>All candidates</b>",
        *metric_lines(metrics(everything)),
        "",
        "<b>Taken</b>",
        *metric_lines(metrics(taken)),
        "",
        DISCLAIMER,
    ]
    return Reply(titled(f"Record of {desk.exchange}, {subject}", lines, ask.moment))


def funnel_told(ask: Ask) -> Reply:
    """Count candidates from close to result."""
    return _table(asyncio.run(funnel.run(ask.desk, funnel.FunnelRequest())).text)


def reliability_told(ask: Ask) -> Reply:
    """Say how far stated probabilities were borne out."""
    return _table(asyncio.run(reliability.run(ask.desk)).text)


def _table(text: str) -> Reply:
    return Reply(escaped(text), monospaced=True)
