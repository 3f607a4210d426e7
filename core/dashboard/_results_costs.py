"""Costs and stress: where the result went, how sure the order inside a minute is, and other assumptions.

The law: the steps add up to the result that is shown everywhere else.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.dashboard._gate_charts import cost_chart
from core.dashboard._parts import chart, section, table
from core.dashboard._results_book import book, few
from core.dashboard._shared import View
from core.dashboard._source_results import Choice, costs_of, summary_of
from core.dashboard._stress import under_stress
from core.dashboard._theme import palette
from core.results.costs_split import CostSplit
from core.results.intervals import Estimate
from core.results.metrics import Metric, metrics
from core.results.words import span

__all__ = ["by_assumption", "by_cost"]

_ASIDE = ("Costs a trade", "Costs, share of gross profit", "Ambiguous")


def by_cost(_view: View, choice: Choice) -> None:
    """Draw the part."""
    chosen = book(choice, "costs")
    summary = summary_of(chosen)
    section(
        "From gross to net",
        "Mean of a closed trade in R: before costs, each cost, what was left.",
        help="Fees: what the exchange charges. Slippage: how much worse than its price an order fills that takes "
        "liquidity, such as a stop. Funding: what a perpetual pays or receives every few hours while held.",
    )
    if not summary.expectancy_r.enough:
        few("30 closed trades in 2 weeks are needed.")
    else:
        _split(costs_of(chosen))
    figures = {metric.label: metric for metric in metrics(summary)}
    for place, label in zip(st.columns(len(_ASIDE)), _ASIDE, strict=True):
        with place:
            _told(figures[label])


def by_assumption(view: View, choice: Choice) -> None:
    """Draw the part that plays the trades again."""
    under_stress(view, choice.plan_hash, choice.exit_policy)


def _split(split: CostSplit) -> None:
    chart(cost_chart(split, palette()), key="costs", height=300, alt="Mean result before costs, each cost, and net")
    first = "Before costs" if split.slippage is not None else "After slippage, before other costs"
    costs = [("Slippage", split.slippage), ("Fees", split.fees), ("Funding", split.funding)]
    lines = [
        _line(first, split.gross, split.gross.low, split.gross.high, 1.0),
        *(_line(name, cost, cost.high, cost.low, -1.0) for name, cost in costs if cost is not None),
        _line("Net", split.net, split.net.low, split.net.high, 1.0),
    ]
    columns = {
        "step": "Step",
        "mean": st.column_config.TextColumn("Mean", alignment="right"),
        "interval": st.column_config.TextColumn("95 %", alignment="right"),
        "n": st.column_config.NumberColumn("Closed", format="localized"),
    }
    table(pd.DataFrame(lines), "costs", columns)
    if split.slippage is None:
        st.caption("The slippage these trades were played with is not on record; it stays in the first figure.")


def _line(step: str, one: Estimate, low: float, high: float, sign: float) -> dict[str, object]:
    """Return a step as it adds to the result: what a cost takes is negative."""
    write = "{:+.3f} R".format
    mean, interval = write(sign * one.value + 0.0), span(write(sign * low), write(sign * high))
    return {"step": step, "mean": mean, "interval": interval, "n": one.n}


def _told(metric: Metric) -> None:
    with st.container(gap="xxsmall"):
        st.caption(metric.label, help=metric.explanation)
        st.markdown(f"### {metric.value}" if metric.enough else f"##### :gray[{metric.value}]")
        st.caption(metric.detail)
