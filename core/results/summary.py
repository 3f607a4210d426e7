"""A day or a week in words: what was found, what was taken, how it ended, and what stands behind it.

The law: counts first; a rate is shown with its interval or not at all; what did not happen (nothing found, nothing
learned) is said as plainly as what did.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.clock import format_ms
from core.results._phrases import Row
from core.results.metrics import DISCLAIMER, NOT_ENOUGH, Metric, metrics
from core.results.rows import closed_rows
from core.results.statistics import Summary, summarize
from core.results.words import in_r, in_usd

__all__ = ["PeriodFacts", "Standing", "standing_lines", "summary_lines"]

_FIGURES = ("Win rate", "Expectancy")


@dataclass(frozen=True, slots=True)
class Standing:
    """What judges signals now, a line each.

    Parameters
    ----------
    model, evidence : str
    drift, unlearned : tuple of str
        Alarms that stand, and what the weekly jobs did not do, with the reason.
    """

    model: str
    evidence: str
    drift: tuple[str, ...] = ()
    unlearned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PeriodFacts:
    """What happened in a stretch of time, live.

    Parameters
    ----------
    title : str
        Such as ``Week 2024-W07``.
    start_ms, end_ms : int
    candidates, passed, taken : int
        Decided in the period.
    ended : pandas.DataFrame
        Columns `rows.RESULT_ROWS`: taken trades whose end became known in the period, unfilled ones among them.
    open_now, waiting_now : int
        Positions and orders at its end.
    standing : Standing
    """

    title: str
    start_ms: int
    end_ms: int
    candidates: int
    passed: int
    taken: int
    ended: pd.DataFrame
    open_now: int
    waiting_now: int
    standing: Standing

    @property
    def summary(self) -> Summary:
        """The statistics of the taken trades that ended."""
        return summarize(self.ended)

    @property
    def account_usd(self) -> float:
        """What the closed trades made at the sizes they were planned with."""
        done = closed_rows(self.ended)
        return float((done["pnl_pct"] / 100.0 * done["position_notional"]).sum())


def summary_lines(facts: PeriodFacts, zone: str) -> list[str]:
    """Return a period as lines of plain text.

    Parameters
    ----------
    facts : PeriodFacts
    zone : str
        Time zone of the reader.
    """
    summary = facts.summary
    done = closed_rows(facts.ended)
    won = int((done["pnl_pct"] > 0).sum())
    unfilled = len(facts.ended) - len(done)
    lines = [
        f"{facts.title}: {format_ms(facts.start_ms, zone)} to {format_ms(facts.end_ms, zone)}",
        f"Signals: {_counted(facts.candidates, 'candidate')}, {facts.passed:,} passed, {facts.taken:,} taken",
        f"Ended: {len(done):,} closed ({won:,} won), {unfilled:,} never filled",
        *(_figure(metric) for metric in metrics(summary) if metric.label in _FIGURES),
    ]
    if len(done):
        lines.append(f"Result: {in_r(summary.total_r)}, {in_usd(facts.account_usd)} at the planned sizes, after costs")
        lines += _extremes(done)
    held, waiting = _counted(facts.open_now, "position"), _counted(facts.waiting_now, "order")
    lines.append(f"Open now: {held}, {waiting} waiting")
    return [*lines, *standing_lines(facts.standing), DISCLAIMER]


def standing_lines(standing: Standing) -> list[str]:
    """Return what judges signals now as lines of plain text."""
    return [
        f"Model: {standing.model}",
        f"Evidence: {standing.evidence}",
        f"Drift: {'; '.join(standing.drift) or 'no alarm'}",
        *(f"Not learned: {line}" for line in standing.unlearned),
    ]


def _figure(metric: Metric) -> str:
    told = metric.value if metric.enough else NOT_ENOUGH
    return f"{metric.label}: {told} ({metric.detail})"


def _extremes(done: pd.DataFrame) -> list[str]:
    ordered = done.sort_values(["r_multiple", "signal_id"], kind="stable").to_dict("records")
    ranked = [{str(name): value for name, value in row.items()} for row in ordered]
    if len(ranked) == 1:
        return []
    return [f"Best: {_named(ranked[-1])}", f"Worst: {_named(ranked[0])}"]


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _named(row: Row) -> str:
    side = str(row["direction"]).upper()
    return f"#{int(row['signal_id'])} {side} {row['symbol']} {row['timeframe']} {in_r(row['r_multiple'])}"
