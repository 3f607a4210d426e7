"""Why a signal was let through or refused: its chance, its worth, its evidence, and what moved the model.

The law: what was in force when it was decided speaks; a model whose files are gone is said to be gone.
"""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.dashboard._axis import Option
from core.dashboard._parts import chart
from core.dashboard._shared import View
from core.dashboard._source import Snapshot
from core.dashboard._theme import Palette, palette
from core.errors import ModelError
from core.gate import Evidence
from core.results._verdicts import threshold_words
from core.results.explain import to_plain
from core.results.words import in_percent, in_r, in_signed_percent
from core.store.reader import Reader

__all__ = ["moves_of", "waterfall", "why_section"]


@st.cache_data(ttl=600, max_entries=16, show_spinner=False)
def judged_of(snapshot: Snapshot, signal_id: int, decided_ms: int) -> tuple[pd.DataFrame, str, str]:
    """Return the decisions on a signal, and gating and evidence (JSON) in force then; ``""`` where there were none."""
    reader = Reader(Path(snapshot.path))
    row = reader.thresholds_at(decided_ms)
    decisions = reader.decisions([signal_id])
    return decisions, "" if row is None else row.gating, "" if row is None else row.evidence


@st.cache_data(ttl=3600, max_entries=32, show_spinner=False)
def moves_of(path: str, models: str, version: str, signal_id: int) -> tuple[float, dict[str, float]]:
    """Return the log-odds a model starts from and how far each family of features moves them.

    Raises
    ------
    ModelError
        The model is not on record, its files do not verify, or the signal's features are not stored.
    """
    from core.dashboard._source_model import model_of  # half a second of imports, for who looks at a judged signal
    from core.features import feature_set

    model = model_of(path, models, version)
    ids, vectors = Reader(Path(path)).features(model.feature_set, [signal_id])
    if not len(ids):
        raise ModelError("its features are not stored; `python retro_scan.py` fills them in")
    given = model.estimator.contributions(vectors)[0]
    moved = feature_set().by_family(model.columns, given[:-1].tolist())
    return float(given[-1]), dict(sorted(moved.items(), key=lambda item: -abs(item[1])))


def waterfall(start: float, moves: dict[str, float], look: Palette) -> Option:
    """Return the option that leads from the geometry's chance to the model's, a bar a family.

    Parameters
    ----------
    start : float
        Log-odds of the geometry alone.
    moves : dict of str to float
        What each family adds.
    look : Palette
    """

    def p(log_odds: float) -> float:
        return 100.0 / (1.0 + math.exp(-log_odds))

    levels = [p(value) for value in start + np.concatenate([[0.0], np.cumsum(list(moves.values()))])]
    names = ["geometry", *moves, "model"]
    bottoms = [0.0, *(min(pair) for pair in pairwise(levels)), 0.0]
    heights = [levels[0], *(abs(b - a) for a, b in pairwise(levels)), levels[-1]]
    colours = [look.faint, *(look.up if move >= 0 else look.down for move in moves.values()), look.neutral]
    labels = [f"{levels[0]:.1f} %", *(f"{b - a:+.1f}" for a, b in pairwise(levels))]
    labels.append(f"{levels[-1]:.1f} %")
    bars = [
        {
            "value": round(height, 4),
            "itemStyle": {"color": colour},
            "label": {"show": True, "position": "top", "formatter": label, "color": look.text, "fontSize": 11},
        }
        for height, colour, label in zip(heights, colours, labels, strict=True)
    ]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 24, "bottom": 4, "containLabel": True},
        "tooltip": {"show": False},
        "xAxis": {
            "type": "category",
            "data": names,
            "axisTick": {"show": False},
            "axisLabel": {"interval": 0, "rotate": 28},
        },
        "yAxis": {
            "type": "value",
            "min": max(0, math.floor(min(levels) / 10 - 0.5) * 10),
            "axisLabel": {"formatter": "{value} %"},
            "splitLine": {"lineStyle": {"color": look.grid}},
        },
        "series": [
            {
                "type": "bar",
                "stack": "moves",
                "silent": True,
                "data": [round(bottom, 4) for bottom in bottoms],
                "itemStyle": {"color": "transparent"},
            },
            {"type": "bar", "name": "p(win)", "stack": "moves", "silent": True, "data": bars, "barMaxWidth": 44},
        ],
    }


def why_section(view: View, signal: pd.Series) -> None:
    """Draw what the verdict of a signal rests on; nothing where nobody judged it."""
    decided_ms = int(signal["decided_ms"])
    decisions, gating, evidence = judged_of(view.snapshot, int(signal["id"]), decided_ms)
    if decisions.empty or not math.isfinite(float(decisions["ml_p"].iloc[-1])):
        return
    decision = decisions.iloc[-1]
    use_ev = bool(json.loads(gating).get("use_ev", True)) if gating else True
    st.markdown("**Why**")
    left, right = st.columns([2, 3])
    with left:
        _numbers(signal, decision, use_ev, evidence)
    with right:
        try:
            start, moves = moves_of(
                view.snapshot.path, str(view.source.models), str(decision["model_version"]), int(signal["id"])
            )
        except ModelError as error:
            st.caption(f"What moved the model cannot be shown: {error}.")
        else:
            chart(
                waterfall(start, moves, palette()),
                key=f"moves-{int(signal['id'])}",
                height=260,
                alt="How each family of features moved the chance of a win",
            )
            st.caption(
                "From the chance of the plan's geometry alone to the model's, before calibration: what each family of "
                "features adds or takes, in percentage points, one after the other."
            )


def _numbers(signal: pd.Series, decision: pd.Series, use_ev: bool, evidence: str) -> None:
    told = Evidence.from_json(json.loads(evidence)) if evidence else Evidence()
    score = float(decision["ev_pct"] if use_ev else decision["ml_p"])
    line = told.line(
        str(signal["symbol"]), str(signal["timeframe"]), str(signal["regime_vol"]), score, int(signal["decided_ms"])
    )
    lines = {
        "Geometry alone": f"p(win) {in_percent(float(decision['p_geo']))}",
        "Model": f"p(win) {in_percent(float(decision['ml_p_raw']))}",
        "Calibrated": f"p(win) {in_percent(float(decision['ml_p']))}",
        "Worth by p(win)": in_r(float(decision["ev_p_r"])),
        "Worth by payoff": in_r(float(decision["ev_payoff_r"])),
        "Expected value": f"{in_signed_percent(float(decision['ev_pct']))}, the lesser of the two",
        "Needed": to_plain(threshold_words({str(k): v for k, v in decision.items()}, use_ev)) or "-",
        "Evidence": line,
        "Judged by": str(decision["model_version"]) or "-",
    }
    st.table({name: value.replace(" %", "\u00a0%") for name, value in lines.items()}, border="horizontal")
