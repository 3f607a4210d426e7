"""Tables of the model's page: what has evidence, and which models there were.

The law: what is not certified says why; what has expired is none.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from core.clock import format_ms
from core.dashboard._parts import empty_state, section, table
from core.dashboard._shared import View
from core.dashboard._source_model import thresholds_of
from core.gate import Evidence
from core.results.words import in_percent, in_r, in_signed_percent

__all__ = ["evidence_table", "registry"]

_RIGHT: dict[str, Any] = {"alignment": "right"}


def evidence_table(view: View) -> None:
    """Draw what each slice of the market has shown."""
    section(
        "Evidence",
        "A slice is certified where out-of-sample results at or above its threshold were shown to earn after costs. "
        "The most specific slice that is large enough speaks for a candidate. Evidence expires.",
    )
    rows = thresholds_of(view.snapshot)
    evidence = Evidence.from_json(json.loads(rows["evidence"].iloc[0])) if len(rows) else Evidence()
    if not evidence.slices:
        empty_state(
            "Nothing was examined yet",
            "No tuning has looked for evidence.",
            [("python tune_thresholds.py --dry-run", "Look, without changing anything:")],
        )
        return
    zone = view.source.zone
    told = pd.DataFrame(
        [
            {
                "name": one.name,
                "state": "certified" if one.certified else "no evidence",
                "why": one.why,
                "n": one.n,
                "n_eff": one.n_eff,
                "weeks": one.weeks,
                "mean_r": in_r(one.mean_r),
                "lower_r": in_r(one.lower_r),
                "win_rate": in_percent(one.win_rate),
                "threshold": one.threshold,
                "expires": format_ms(one.expires_ms, zone)[:10] if one.certified else "",
            }
            for one in evidence.slices.values()
        ]
    )
    st.caption(f"Tuned {format_ms(evidence.tuned_ms, zone)}.")
    table(told, "evidence", _EVIDENCE_COLUMNS, most=18)


_EVIDENCE_COLUMNS: dict[str, Any] = {
    "name": st.column_config.TextColumn("Slice", width=150),
    "state": st.column_config.TextColumn("State", width=88),
    "why": st.column_config.TextColumn("Why not", width=220),
    "n": st.column_config.NumberColumn("Results", format="localized"),
    "n_eff": st.column_config.NumberColumn("Effective", format="%.0f", help="Overlapping trades count less than one."),
    "weeks": st.column_config.NumberColumn("Weeks"),
    "mean_r": st.column_config.TextColumn("Mean", **_RIGHT),
    "lower_r": st.column_config.TextColumn("Lower bound", help="At the level the slice was tested at.", **_RIGHT),
    "win_rate": st.column_config.TextColumn("Won", **_RIGHT),
    "threshold": st.column_config.NumberColumn("Threshold", format="%.3f", help="Least EV, percent, or p(win)."),
    "expires": "Expires",
}


def registry(view: View, models: pd.DataFrame, cards: dict[str, dict[str, Any]], reigns: pd.DataFrame) -> None:
    """Draw the models, the newest first, and who was in force when."""
    section(
        "Registry", "Every model, and which was in force when. A challenger must be no worse than the one in force."
    )
    zone = view.source.zone
    lines = []
    for row in models.iloc[::-1].to_dict("records"):
        card = cards[str(row["version"])]
        skill = card.get("skill_over_geometry") or {}
        lines.append(
            {
                "version": row["version"],
                "state": row["state"],
                "made": format_ms(int(row["created_ms"]), zone),
                "estimator": card["estimator"]["name"],
                "n": card["n"],
                "n_eff": card["n_eff"],
                "skill": in_signed_percent(skill["gain_pct"]) if skill else "-",
                "shown": "shown" if card["skill"] else "not shown",
                "calibration": (card.get("calibration") or {}).get("method", "none"),
            }
        )
    table(pd.DataFrame(lines), "models", _MODEL_COLUMNS)
    told = pd.DataFrame(
        {
            "since": [format_ms(int(ms), zone) for ms in reigns["since_ms"]],
            "version": [version or "none" for version in reigns["version"]],
            "reason": reigns["reason"],
        }
    ).iloc[::-1]
    with st.expander("Who was in force when"):
        table(told, "reigns", {"since": f"Since ({zone})", "version": "Model", "reason": "Why"})


_MODEL_COLUMNS: dict[str, Any] = {
    "version": "Model",
    "state": st.column_config.TextColumn(
        "State", help="champion: in force; previous: the one before; candidate; retired."
    ),
    "made": "Made",
    "estimator": "Learned by",
    "n": st.column_config.NumberColumn("Results", format="localized"),
    "n_eff": st.column_config.NumberColumn("Effective", format="%.0f", help="Overlapping trades count less than one."),
    "skill": st.column_config.TextColumn("Skill", help="Over the geometry, out of sample.", **_RIGHT),
    "shown": "Skill is",
    "calibration": "Calibrated by",
}
