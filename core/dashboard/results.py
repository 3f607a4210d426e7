"""Results: what became of the signals, how sure that is, and what it rests on.

The law: one plan and one exit policy at a time, counted by `core.results` alone; below enough trades there is a
warning where a figure would stand.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.clock import format_ms
from core.dashboard._columns import EXIT_COLUMNS, GROUP_COLUMNS, TRADE_COLUMNS, yes_or_no
from core.dashboard._curves import curve_chart, interval_chart
from core.dashboard._parts import empty_state
from core.dashboard._shared import View, show
from core.dashboard._source import heads_of, policies_of, rows_of
from core.dashboard._stress import under_stress
from core.dashboard._theme import palette
from core.results.equity import account_curve, equal_stake_curve, equity_frame
from core.results.metrics import NOT_ENOUGH, Metric, account_metrics, conclusion, counted, metrics, stake_metrics
from core.results.rows import closed_rows, plan_table, taken_rows
from core.results.statistics import Summary, summarize
from core.results.tables import BREAKDOWNS, breakdown, exit_reason_table, trades_table
from core.results.words import in_percent, in_r, span

__all__ = ["page"]

_HOLD_S = 60.0  # counting every trade anew takes seconds after some years of them
_HEADLINES = 6  # the first figures stand as tiles, the others in the table below them


def page() -> None:
    """Draw the page."""
    show("Results", _body, _HOLD_S)


def _body(view: View) -> None:
    heads = heads_of(view.snapshot, view.exchange)
    if heads.empty:
        _nothing("No signals yet", "There is nothing to count before the rules have found candidates.")
        return
    chosen = _choose(view, heads)
    if chosen is None:
        _nothing("No trades yet", "The signals on record have not been played on one-minute candles.")
        return
    rows = rows_of(view.snapshot, view.exchange, *chosen)
    if rows.empty:
        _nothing("No trades under this choice", "No signal of this plan was played under this exit policy.")
        return
    of_plan = heads[heads["plan_hash"] == chosen[0]]
    left_out = int((of_plan["in_sample"] == 1).sum())
    everything, taken = summarize(rows), summarize(taken_rows(rows))
    st.markdown(f"**{conclusion(everything)}**")
    st.caption(counted(everything, left_out))
    _side_by_side(everything, taken)
    _equity(view, rows, everything)
    _exits(rows)
    _groups(rows)
    under_stress(view, *chosen)
    _trades(rows)


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


def _choose(view: View, heads: pd.DataFrame) -> tuple[str, str] | None:
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
    return str(plan), str(policy)


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
        st.dataframe(
            pd.DataFrame(
                {
                    "Figure": [metric.label for metric in all_metrics],
                    "All candidates": [metric.value for metric in all_metrics],
                    "Interval, count": [metric.detail for metric in all_metrics],
                    "Taken": [metric.value for metric in taken_metrics],
                    "Interval, count ": [metric.detail for metric in taken_metrics],
                    "Meaning": [metric.explanation for metric in all_metrics],
                }
            ),
            hide_index=True,
        )


def _equity(view: View, rows: pd.DataFrame, everything: Summary) -> None:
    capital, look = view.source.capital_usd, palette()
    st.subheader("Equity", anchor=False)
    left, right = st.columns(2)
    with left:
        stakes = equal_stake_curve(rows)
        st.markdown("**Equal stakes, all candidates**")
        _captions(stake_metrics(everything))
        if len(stakes.ts_ms):
            st.echarts_chart(
                curve_chart(stakes, "Result, USD", look.up, percent=False, look=look),
                height=380,
                key="equal-stakes",
                alt="Equal-stake result over time with its drawdown",
            )
        else:
            st.info("No closed trade yet.")
    with right:
        st.markdown("**Paper account, taken trades**")
        if capital is None:
            st.info(f"The account needs the configuration (risk.capital_usd). {view.source.problem}")
        else:
            account = account_curve(rows, capital)
            _captions(account_metrics(account))
            if len(account.ts_ms):
                st.echarts_chart(
                    curve_chart(account, "Account, USD", look.good, percent=True, look=look),
                    height=380,
                    key="account",
                    alt="Paper account over time with its drawdown",
                )
            else:
                st.info("No taken trade is closed yet.")
    if len(closed_rows(rows)):
        st.download_button(
            "Equity as CSV",
            data=lambda: equity_frame(rows, capital).to_csv(index=False),
            file_name="equity.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _captions(shown: list[Metric]) -> None:
    for metric in shown:
        st.caption(f"{metric.label}: {metric.value}, {metric.detail}", help=metric.explanation)


def _exit_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table for reading: shares in percent, and no money where no trade was ever open."""
    shown = table.copy()
    shown[["share", "win_rate"]] *= 100.0
    shown[["total_r", "pnl_usd"]] = shown[["total_r", "pnl_usd"]].mask(shown["win_rate"].isna())
    return shown


def _exits(rows: pd.DataFrame) -> None:
    st.subheader("How they ended", anchor=False)
    st.dataframe(
        _exit_lines(exit_reason_table(rows)),
        hide_index=True,
        placeholder="",
        column_config=EXIT_COLUMNS,
    )


def _group_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table for reading: figures with their intervals, or that there is not enough for them."""
    lines = []
    for row in table.to_dict("records"):
        line = {"group": row["group"], "n": row["n"], "weeks": row["weeks"], "win_rate": NOT_ENOUGH, "win_span": ""}
        line |= {"expectancy_r": NOT_ENOUGH, "r_span": "", "pnl_usd": row["pnl_usd"]}
        if row["enough"]:
            line |= {"win_rate": in_percent(row["win_rate"]), "expectancy_r": in_r(row["expectancy_r"])}
            line["win_span"] = span(in_percent(row["win_low"]), in_percent(row["win_high"]))
            line["r_span"] = span(in_r(row["r_low"]), in_r(row["r_high"]))
        lines.append(line)
    return pd.DataFrame(lines)


def _groups(rows: pd.DataFrame) -> None:
    st.subheader("Split by", anchor=False)
    by = st.segmented_control(
        "Split by",
        list(BREAKDOWNS),
        default="timeframe",
        format_func=lambda name: BREAKDOWNS[name],
        key="split",
        label_visibility="collapsed",
        required=True,
    )
    table = breakdown(rows, str(by))
    if table.empty:
        st.info("No closed trade yet.")
        return
    enough = int(table["enough"].sum())
    if enough:
        st.echarts_chart(
            interval_chart(table, palette()),
            height=72 + 34 * enough,
            key=f"groups-{by}",
            alt="Expectancy of each group with its interval",
        )
    st.dataframe(_group_lines(table), hide_index=True, placeholder="", column_config=GROUP_COLUMNS)
    st.caption(
        "Intervals are 95 % and hold for one group looked at by itself. The best of many groups looks good by chance: "
        "of twenty without any edge, one is expected outside its interval."
    )


def _trades(rows: pd.DataFrame) -> None:
    st.subheader("Trades", anchor=False)
    only = st.segmented_control(
        "Trades", ["All", "Taken", "Closed"], default="All", key="only", label_visibility="collapsed", required=True
    )
    chosen = {"All": rows, "Taken": taken_rows(rows), "Closed": closed_rows(rows)}[str(only)]
    table = trades_table(chosen)
    shown = [name for name in TRADE_COLUMNS if name != "blocked_by" or (table["blocked_by"] != "").any()]
    told = table.assign(taken=yes_or_no(table["taken"]), ambiguous=yes_or_no(table["ambiguous"]))
    # Lazily: only the rows in view travel to the browser, whatever their number.
    st.dataframe(
        told,
        hide_index=True,
        placeholder="",
        height=420,
        column_config=TRADE_COLUMNS,
        column_order=shown,
        lazy=True,
    )
    st.download_button(
        "Trades as CSV",
        data=lambda: table.to_csv(index=False),
        file_name="trades.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
