"""Job `reliability`: whether the probabilities and expected values stated beforehand were borne out.

The law: a candidate counts once, with what was said of it live where somebody did, else with what a model said that had
seen nothing later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from core.errors import UsageError, nearest
from core.jobs._console import wrapped
from core.jobs._desk import Desk, Report
from core.jobs._learning import ledger_of
from core.jobs._subject import Subject, subject_of
from core.results.metrics import DISCLAIMER, NOT_ENOUGH, SYNTHETIC
from core.results.reliability import (
    LEDGER_ROWS,
    LEDGER_SPLITS,
    reliability,
    reliability_lines,
    reliability_table,
    told_once,
)
from core.results.words import in_percent, in_r, span
from core.schema import conform

__all__ = ["SPLITS", "run"]

SPLITS = {
    **{name: (name,) for name in LEDGER_SPLITS if not name.startswith("regime_")},
    "regime": ("regime_trend", "regime_vol"),
}
"""What can be asked for, and the splits of the ledger it shows."""


async def run(desk: Desk, by: str = "") -> Report:
    """Say how far predictions were borne out, in all and by one split.

    Raises
    ------
    UsageError
        `by` is none of `SPLITS`.
    """
    if by and by not in SPLITS:
        raise UsageError(f"--by {by}: {nearest(by, SPLITS)}")
    subject = subject_of(desk)
    rows, sources = _rows(desk, subject)
    synthetic = [SYNTHETIC] * (desk.reader.meta(f"synthetic:{desk.exchange}") == "1")
    lines = [*synthetic, f"{desk.exchange}, {subject}"]
    if rows.empty:
        lines.append(
            "No finished candidate has a p(win) that was stated before its outcome: train a model with "
            "`python train_meta.py`, or let the engine run with one in force."
        )
        return Report("reliability", text="\n".join(lines))
    lines += [f"Stated: {sources}", "", *reliability_lines(reliability(rows))]
    for split in SPLITS.get(by, ()):
        lines += [
            "",
            f"By {LEDGER_SPLITS[split][:1].lower()}{LEDGER_SPLITS[split][1:]}",
            *_table(reliability_table(rows, split)),
        ]
    if by:
        lines += ["", *(part for line in _LEGEND for part in wrapped(line))]
    return Report("reliability", text="\n".join([*lines, "", *wrapped(DISCLAIMER)]))


def _rows(desk: Desk, subject: Subject) -> tuple[pd.DataFrame, str]:
    """Return the ledger, and who stated what is in it."""
    ledger = ledger_of(desk) if desk.features is not None else None
    rows = told_once(desk.reader.ledger_rows(desk.exchange, subject.exit_policy, subject.plans, ledger))
    n_live = int((rows["source"] == "live").sum())
    return conform(rows, LEDGER_ROWS), f"{n_live:,} live, {len(rows) - n_live:,} out of sample by a walk-forward"


_LEGEND = (
    "Skill, Brier: how much lower log-loss and Brier score are than the geometry's. Slope: 1 is honest, below 1 "
    "overconfident.",
    "Error: mean distance of stated and realised p(win) over ten bins; floor: what a perfect model has with as many.",
    "EV: mean expected value; realised: mean result. Of twenty groups, one lies outside its 95 % interval by chance.",
)


def _table(table: pd.DataFrame) -> list[str]:
    heads = ["Group", "Closed", "Skill", "95 %", "Brier", "Slope", "95 %", "Error", "Floor", "EV", "Realised", "95 %"]
    lines = [heads, *(_line(row) for row in table.to_dict("records"))]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _line(row: Mapping[Any, Any]) -> list[str]:
    head = [str(row["group"]), f"{int(row['n']):,}"]
    if not row["enough"]:
        return [*head, NOT_ENOUGH, *[""] * 9]
    skill, brier, slope, realised = ("log_loss_skill", "brier_skill", "slope", "realised_r")
    return [
        *head,
        *_with_interval(row, skill, in_percent),
        _or_dash(row[brier], in_percent),
        *_with_interval(row, slope, "{:.2f}".format),
        _or_dash(row["ece"], in_percent),
        _or_dash(row["ece_floor"], in_percent),
        _or_dash(row["expected_r"], in_r),
        *_with_interval(row, realised, in_r),
    ]


def _with_interval(row: Mapping[Any, Any], name: str, write: Callable[[float], str]) -> tuple[str, str]:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return _or_dash(row[name], write), span(write(low), write(high)) if math.isfinite(low) else ""


def _or_dash(value: float, write: Callable[[float], str]) -> str:
    return write(value) if math.isfinite(value) else "-"
