"""Results: what became of the signals, how sure that is, and what it rests on.

The law: one plan and one exit policy at a time, counted by `core.results` alone; below enough trades there is a
warning where a figure would stand. Only the part that is looked at is counted and drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import streamlit as st

from core.clock import format_ms
from core.dashboard._parts import downloads, empty_state, no_signals
from core.dashboard._results_calendar import by_calendar
from core.dashboard._results_costs import by_assumption, by_cost
from core.dashboard._results_equity import by_equity
from core.dashboard._results_gate import by_gate
from core.dashboard._results_splits import by_group
from core.dashboard._results_spread import by_spread
from core.dashboard._results_trades import by_trade
from core.dashboard._shared import View, show
from core.dashboard._source import heads_of, policies_of
from core.dashboard._source_results import Choice, summary_of
from core.results.metrics import Metric, conclusion, counted, metrics
from core.results.rows import plan_table
from core.results.statistics import Summary

__all__ = ["page"]

_HOLD_S = 60.0  # counting every trade anew takes seconds after some years of them
_HEADLINES = 6  # the first figures stand as tiles, the others in the table below them
_PARTS: dict[str, Callable[[View, Choice], None]] = {
    "Equity": by_equity,
    "Calendar": by_calendar,
    "Distribution": by_spread,
    "Breakdowns": by_group,
    "Costs": by_cost,
    "Stress": by_assumption,
    "Gate": by_gate,
    "Trades": by_trade,
}


def page() -> None:
    """Draw the page."""
    show("Results", _body, _HOLD_S)


def _body(view: View) -> None:
    heads = heads_of(view.snapshot, view.exchange)
    if heads.empty:
        no_signals("There is nothing to count before the rules have found candidates.")
        return
    choice = _choose(view, heads)
    if choice is None:
        _nothing("No trades yet", "The signals on record have not been played on one-minute candles.")
        return
    everything = summary_of(choice)
    if not sum(everything.counts.values()):
        _nothing("No trades under this choice", "No signal of this plan was played under this exit policy.")
        return
    of_plan = heads[heads["plan_hash"] == choice.plan_hash]
    left_out = int((of_plan["in_sample"] == 1).sum())
    st.markdown(f"**{conclusion(everything)}**")
    st.caption(counted(everything, left_out))
    taken = summary_of(replace(choice, taken=True))
    _side_by_side(everything, taken)
    part = st.segmented_control(
        "Part",
        list(_PARTS),
        default="Equity",
        key="part",
        label_visibility="collapsed",
        required=True,
        bind="query-params",
    )
    _PARTS[str(part)](view, choice)


def _nothing(title: str, text: str) -> None:
    empty_state(
        title,
        text,
        [
            ("python retro_scan.py --start 2024-01-01", "Scan the stored history and play what is found:"),
            ("python scheduler_run.py", "Or start the engine, which does so as time passes:"),
            ("make demo", "Or look around first, in a generated market, without network:"),
        ],
    )


def _choose(view: View, heads: pd.DataFrame) -> Choice | None:
    """Return the plan and the exit policy to count; the newest ones unless chosen otherwise."""
    policies = policies_of(view.snapshot, view.exchange)
    if not policies:
        return None
    plans = plan_table(heads)

    names = {
        str(plan): f"{plan} ({n:,} signals to {format_ms(int(last))[:10]})"
        for plan, n, last in zip(plans.index, plans["n"], plans["last_ms"], strict=True)
    }

    left, right = st.columns(2)
    with left:
        plan = st.selectbox(
            "Plan",
            list(names),
            format_func=lambda plan: names[plan],
            key="plan",
            help="Signals made with the same parameters of setup, costs and validity. Other parameters are other "
            "trades and are not mixed in.",
        )
    with right:
        policy = st.selectbox(
            "Exit policy",
            policies,
            key="policy",
            help="How positions are left, with its execution and cost parameters.",
        )
    return Choice(view.snapshot, view.exchange, str(plan), str(policy))


def _tile(metric: Metric) -> None:
    with st.container(gap="xxsmall"):
        st.caption(metric.label, help=metric.explanation)
        st.markdown(f"### {metric.value}" if metric.enough else f"##### :gray[{metric.value}]")
        st.caption(metric.detail.replace(", n = ", "  \nn = "))


def _side_by_side(everything: Summary, taken: Summary) -> None:
    all_metrics, taken_metrics = metrics(everything), metrics(taken)
    left, right = st.columns(2)
    for column, title, text, shown in (
        (left, "All candidates", "The shadow book: every candidate played alone, taken or not.", all_metrics),
        (right, "Taken", "Those that passed the gate, the size rule and the risk limits.", taken_metrics),
    ):
        with column, st.container(border=True):
            st.subheader(title, anchor=False)
            st.caption(text)
            with st.container(horizontal=True):
                for metric in shown[:_HEADLINES]:
                    _tile(metric)
    with st.expander("Every figure, and what it means"):
        table = pd.DataFrame(
            {
                "Figure": [metric.label for metric in all_metrics],
                "All candidates": [metric.value for metric in all_metrics],
                "Interval, count": [metric.detail for metric in all_metrics],
                "Taken": [metric.value for metric in taken_metrics],
                "Interval, count ": [metric.detail for metric in taken_metrics],
                "Meaning": [metric.explanation for metric in all_metrics],
            }
        )
        st.dataframe(table, hide_index=True)
        downloads(table, "figures")
