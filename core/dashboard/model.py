"""Model: which is in force, what it was worth on what it had not seen, and what has evidence.

The law: judged on predictions made before the outcome; what a model says of its own training is not shown.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from core.clock import format_ms
from core.dashboard._model_charts import bar_chart, bins_chart, drift_chart
from core.dashboard._model_tables import evidence_table, registry
from core.dashboard._parts import chart, empty_state, section, table, tile
from core.dashboard._shared import View, show
from core.dashboard._source_model import (
    cards_of,
    drift_of,
    importance_of,
    reliability_of,
    said_and_came,
    shift_of,
    slices_of,
)
from core.dashboard._theme import palette
from core.errors import ModelError
from core.results.calibration import ev_bins, p_bins
from core.results.metrics import NOT_ENOUGH
from core.results.reliability import LEDGER_SPLITS, Reliability
from core.results.words import in_percent, in_r, in_signed_percent, span

__all__ = ["page"]

_HOLD_S = 60.0
_TILE = 116  # pixels: about the height of a tile
_SPLIT_BY = ("timeframe", "symbol", "pair", "regime_trend", "regime_vol", "month", "model")


def page() -> None:
    """Draw the page."""
    show("Model", _body, _HOLD_S)


def _body(view: View) -> None:
    models, cards, reigns = cards_of(view.snapshot)
    if models.empty:
        empty_state(
            "No model yet",
            "Nothing has been learned, so no candidate is judged: signals are UNGATED. A model needs some hundred "
            "finished candidates.",
            [
                (
                    "python retro_scan.py --start 2024-01-01",
                    "Play the stored history, to have something to learn from:",
                ),
                ("python train_meta.py", "Then learn from it:"),
            ],
        )
        return
    version = str(reigns["version"].iloc[-1]) if len(reigns) else ""
    found = _in_force(view, version, cards.get(version, {}))
    _calibration(said_and_came(view.snapshot, view.exchange), found)
    _slices(view)
    evidence_table(view)
    _drift(view)
    _importance(view, version, cards.get(version, {}))
    registry(view, models, cards, reigns)


def _in_force(view: View, version: str, card: dict[str, Any]) -> Reliability:
    if not version:
        st.warning("No model is in force: every candidate is UNGATED.", icon=":material/lock_open:")
    skill = card.get("skill_over_geometry") or {}
    unknown = "its card does not say" if version else "no model is in force"
    first, second, third, fourth = st.columns(4)
    with first:
        learned = f"learned until {format_ms(int(card['train_max_t1']), view.source.zone)[:10]}" if card else ""
        tile("In force", version.rpartition("-")[2] or "none", learned, f"The champion: {version or 'none'}.")
    with second:
        told = f"5 % quantile {in_signed_percent(skill['low_pct'])}" if skill else ""
        tile(
            "Skill over the geometry",
            in_signed_percent(skill["gain_pct"]) if skill else "-",
            f"{'shown' if skill.get('shown') else 'not shown'}; {told}" if skill else unknown,
            "How much lower its log-loss was, out of sample, than that of the plan's geometry alone (distances to stop "
            "and targets, costs). Shown only where chance is an unlikely explanation; without it nothing is certified.",
        )
    with third, st.skeleton(height=_TILE):
        found = reliability_of(view.snapshot, view.exchange)
    with third:
        _estimate_tile(
            "Calibration slope",
            found.slope.enough,
            f"{found.slope.value:.2f}",
            span(f"{found.slope.low:.2f}", f"{found.slope.high:.2f}"),
            found.n,
            "Of the outcomes' log-odds over the stated ones: 1 is honest, below 1 overconfident, above 1 timid.",
        )
    with fourth:
        _estimate_tile(
            "Realised less expected",
            found.gap_r.enough,
            in_r(found.gap_r.value),
            span(in_r(found.gap_r.low), in_r(found.gap_r.high)),
            found.n,
            "Mean result of finished candidates less the value expected beforehand, in R, the planned risk.",
        )
    return found


def _estimate_tile(label: str, enough: bool, value: str, interval: str, n: int, help: str) -> None:
    if enough:
        tile(label, value, f"95 %: {interval}, n = {n:,}", help)
    else:
        tile(label, "-", f"{NOT_ENOUGH}, n = {n:,}", help)


def _calibration(rows: pd.DataFrame, found: Reliability) -> None:
    n_live = int((rows["source"] == "live").sum())
    section(
        "Said and come",
        f"{len(rows):,} finished candidates: {n_live:,} with what was said live, {len(rows) - n_live:,} with what a "
        "walk-forward said that knew nothing later. On the dashed line, what was said came. Bars are 95 % intervals "
        "that count the trades of a week as one cluster; a point from a single week has none.",
    )
    before, after = (p_bins(rows[said], rows["won"], rows["decided_ms"]) for said in ("p_raw", "p"))
    if after.empty:
        st.info("Not enough finished candidates for a picture: 30 are needed.", icon=":material/hourglass_empty:")
        return
    left, right = st.columns(2)
    with left:
        st.markdown("**Chance of a win**")
        chart(
            bins_chart(
                [("Calibrated", after), ("Before calibration", before)],
                ("Said p(win)", "Share won"),
                "{value}",
                palette(),
            ),
            key="calibration",
            height=360,
            alt="Stated probabilities against the share won, before and after calibration",
        )
        if math.isfinite(found.ece) and found.enough:
            st.caption(
                f"Calibration error {in_percent(found.ece)}; a perfect model has about {in_percent(found.ece_floor)} "
                "with as many outcomes."
            )
    with right:
        st.markdown("**Expected value**")
        told = ev_bins(rows["ev_r"], rows["net_r"], rows["decided_ms"])
        if told.empty:
            st.info("Not enough finished candidates with an expected value.", icon=":material/hourglass_empty:")
            return
        chart(
            bins_chart([("Mean result", told)], ("Expected, R", "Realised, R"), "{value}", palette()),
            key="expected-realised",
            height=360,
            alt="Expected value against the mean result",
        )
        st.caption("The value the gate used: the lesser of the two ways of reckoning it.")


def _slices(view: View) -> None:
    by = st.segmented_control(
        "Split by",
        list(_SPLIT_BY),
        default="timeframe",
        format_func=lambda name: LEDGER_SPLITS[name],
        key="model_split",
        required=True,
    )
    told = slices_of(view.snapshot, view.exchange, str(by))
    lines = [_slice_line(row) for row in told.to_dict("records")]
    table(pd.DataFrame(lines), f"reliability-by-{by}", _SLICE_COLUMNS, export=told)


def _slice_line(row: dict[Any, Any]) -> dict[str, Any]:
    line: dict[str, Any] = {"group": row["group"], "n": row["n"], "skill": NOT_ENOUGH}
    if not row["enough"]:
        return line
    return line | {
        "skill": in_signed_percent(100 * row["log_loss_skill"]),
        "skill_span": span(
            in_signed_percent(100 * row["log_loss_skill_low"]), in_signed_percent(100 * row["log_loss_skill_high"])
        ),
        "slope": f"{row['slope']:.2f}" if math.isfinite(row["slope"]) else "-",
        "error": f"{in_percent(row['ece'])} ({in_percent(row['ece_floor'])})",
        "expected": in_r(row["expected_r"]),
        "realised": in_r(row["realised_r"]),
        "realised_span": span(in_r(row["realised_r_low"]), in_r(row["realised_r_high"])),
    }


_RIGHT: dict[str, Any] = {"alignment": "right"}
_SLICE_COLUMNS: dict[str, Any] = {
    "group": "Group",
    "n": st.column_config.NumberColumn("Finished", format="localized"),
    "skill": st.column_config.TextColumn("Skill", help="Log-loss below that of the geometry alone.", **_RIGHT),
    "skill_span": st.column_config.TextColumn("95 %", **_RIGHT),
    "slope": st.column_config.TextColumn("Slope", help="1 is honest, below 1 overconfident.", **_RIGHT),
    "error": st.column_config.TextColumn(
        "Error (floor)", help="Calibration error, and what a perfect model has with as many outcomes.", **_RIGHT
    ),
    "expected": st.column_config.TextColumn("Expected", **_RIGHT),
    "realised": st.column_config.TextColumn("Realised", **_RIGHT),
    "realised_span": st.column_config.TextColumn("95 % ", **_RIGHT),
}


def _drift(view: View) -> None:
    section(
        "Drift",
        "Whether live predictions still come true. A CUSUM adds up what fell short of what was said, day by day, and "
        "forgets what did not; at the alarm the evidence is withdrawn until a tuning finds it again.",
    )
    found, alarms = drift_of(view.snapshot, view.exchange)
    if not any(len(course.at_ms) for course in found):
        st.info("No live prediction has an outcome yet.", icon=":material/hourglass_empty:")
    else:
        chart(drift_chart(found, palette()), key="drift", height=260, alt="Drift statistics over time")
    if len(alarms):
        at = [format_ms(int(ms), view.source.zone) for ms in alarms["ms"]]
        table(alarms.assign(ms=at).drop(columns="id"), "drift-alarms", {"ms": f"When ({view.source.zone})"})


def _importance(view: View, version: str, card: dict[str, Any]) -> None:
    if not version:
        return
    section("What it looks at", "How far each family of features moves the log-odds of a win, on average, either way.")
    try:
        told = importance_of(view.snapshot.path, str(view.source.models), version)
    except ModelError as error:
        st.warning(f"{error}", icon=":material/broken_image:")
        return
    families = told.groupby("family")["mean_abs"].sum().sort_values(ascending=False)
    left, right = st.columns(2)
    with left:
        chart(
            bar_chart([str(name) for name in families.index], families.tolist(), "By family", palette()),
            key="importance-families",
            height=60 + 30 * len(families),
            alt="Importance by family of features",
        )
    with right:
        top = told.head(len(families) + 2)
        chart(
            bar_chart(top["feature"].tolist(), top["mean_abs"].tolist(), "By feature", palette()),
            key="importance-features",
            height=60 + 30 * len(families),
            alt="Importance by feature",
        )
    with st.expander("Every feature, and how far it has shifted"):
        shift = shift_of(view.snapshot.path, view.exchange, str(card["feature_set"]), int(card["train_max_t1"]))
        st.caption(
            "PSI, the population stability index, compares the last 60 days with what was learned from. It is shown "
            "and changes nothing: it rises with every change of market, harmful or not."
        )
        table(told.merge(shift, on="feature", how="left"), "features", _FEATURE_COLUMNS)


_FEATURE_COLUMNS: dict[str, Any] = {
    "feature": "Feature",
    "family": "Family",
    "mean_abs": st.column_config.NumberColumn("Mean move of the log-odds", format="%.4f"),
    "psi": st.column_config.NumberColumn("PSI", format="%.2f"),
}
