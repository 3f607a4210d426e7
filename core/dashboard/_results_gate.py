"""The gate: what thresholds keep and how that did, and which chances were given.

The law: judged on what was said before the outcome; the threshold that looks best here was not known then.
"""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from core.dashboard._gate_charts import chance_chart, coverage_chart
from core.dashboard._parts import chart, downloads, empty_state, section, table
from core.dashboard._results_book import few
from core.dashboard._shared import View
from core.dashboard._source_results import Choice, chances_of, gating_of, kept_of, said_of, summary_of
from core.dashboard._theme import palette
from core.results.metrics import NOT_ENOUGH
from core.results.words import in_percent, in_r, span

__all__ = ["by_gate"]

_SCORES = {"ev_pct": "Expected value", "p": "p(win)"}
_AXES = {"ev_pct": "Least EV, % of the position", "p": "Least p(win)"}


def by_gate(view: View, choice: Choice) -> None:
    """Draw the part."""
    asked = (choice.snapshot, choice.exchange, choice.plan_hash)
    said, given = said_of(*asked, choice.exit_policy), chances_of(*asked)
    if said.empty and given.empty:
        empty_state(
            "Nothing was judged yet",
            "No model has said anything about these candidates, so no threshold can be looked at.",
            [("python train_meta.py", "Learn from the finished candidates:")],
        )
        return
    n_live = int((said["source"] == "live").sum())
    section(
        "What a threshold keeps",
        f"{len(said):,} finished candidates: {n_live:,} with what was said live, {len(said) - n_live:,} with what a "
        "walk-forward said that knew nothing later. To the right fewer are kept; bands are 95 % intervals.",
        help="Coverage: the share of candidates at or above a threshold. EV, the expected value: what the gate "
        "expected a trade to make after costs. A model that knows something earns more where it keeps less.",
    )
    if said.empty:
        few("no finished candidate has a prediction made before its outcome.")
    else:
        _kept(view, choice)
    _given(given)


def _kept(view: View, choice: Choice) -> None:
    in_force, threshold, own = gating_of(view)
    score = str(
        st.segmented_control(
            "By",
            list(_SCORES),
            default=in_force,
            format_func=lambda name: _SCORES[name],
            key="gate_score",
            required=True,
        )
    )
    live = threshold if score == in_force else None
    asked = (choice.snapshot, choice.exchange, choice.plan_hash, choice.exit_policy)
    found = kept_of(*asked, score, live)
    if not found["enough"].any():
        few("fewer than 30 finished candidates with a prediction.")
        return
    mark = math.nan if live is None else live
    even, look = 100.0 * summary_of(choice).break_even, palette()
    left, right = st.columns(2)
    with left:
        option = coverage_chart(found, "win", _AXES[score], mark, even, look)
        chart(option, key=f"coverage-win-{score}", height=340, alt="Win rate and share kept by threshold")
    with right:
        option = coverage_chart(found, "r", _AXES[score], mark, 0.0, look)
        chart(option, key=f"coverage-r-{score}", height=340, alt="Mean R and share kept by threshold")
    told = []
    if live is not None:
        told.append(f"In force: {live:g}, the general one" + (f"; {own} pairs have their own." if own else "."))
    else:
        told.append("The gate goes by the other score.")
    told.append("Choosing the best-looking threshold here fits it to these trades: tuning asks for evidence instead.")
    st.caption(" ".join(told))
    with st.expander("As a table, with intervals"):
        table(_lines(found), f"coverage-{score}", _COLUMNS, export=found)


def _lines(found: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for row in found.to_dict("records"):
        line = {"threshold": row["threshold"], "n": row["n"], "share": in_percent(row["share"]), "win": NOT_ENOUGH}
        line |= {"r": NOT_ENOUGH, "win_span": "", "r_span": ""}
        if row["enough"]:
            line |= {"win": in_percent(row["win"]), "r": in_r(row["r"])}
            line["win_span"] = span(in_percent(row["win_low"]), in_percent(row["win_high"]))
            line["r_span"] = span(in_r(row["r_low"]), in_r(row["r_high"]))
        lines.append(line)
    return pd.DataFrame(lines)[["threshold", "n", "share", "win", "win_span", "r", "r_span"]]


_COLUMNS = {
    "threshold": st.column_config.NumberColumn("At least", format="%.3f"),
    "n": st.column_config.NumberColumn("Kept", format="localized"),
    "share": "Of all",
    "win": "Win rate",
    "win_span": "95 %",
    "r": "Mean",
    "r_span": "95 % ",
}


def _given(given: pd.DataFrame) -> None:
    section(
        "Chances given",
        "Every judged candidate, filled or not, by the p(win) it was given.",
        help="p(win): the model's calibrated probability that a candidate earns after costs.",
    )
    if given.empty:
        few("no candidate was judged by a model.")
        return
    chart(chance_chart(given, palette()), key="chances", height=280, alt="Candidates by p(win), passed and not")
    n, passed = int(given["n"].sum()), int(given["passed"].sum())
    st.caption(f"{n:,} judged, {passed:,} passed ({in_percent(passed / n)}).")
    downloads(given, "chances")
