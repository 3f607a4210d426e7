"""What a training has found, in plain words.

The law: every figure has what it is measured against and what it rests on beside it; "nothing" is a finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.clock import format_ms
from core.training.fit import Fitted
from core.training.promote import Comparison, Skill

__all__ = ["Learned", "learned_words"]

_REASONS = {
    "PROMOTED": "no worse than the champion",
    "WORSE": "worse than the champion, or not shown not to be",
    "TOO_FEW_RESULTS": "too few results that both could be judged on",
    "GOLDEN_ROWS": "it does not say again what it said when it was made",
}


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What a training has found.

    Parameters
    ----------
    fitted : Fitted
    blocks : pandas.DataFrame
        Columns `walk.BLOCKS`: the blocks judged now.
    said : pandas.DataFrame
        Out-of-sample predictions of finished candidates with their outcomes: won, p, p_geo, ev_r, net_r and more.
    skill : Skill
        Over the geometry, on `said`.
    contest : Comparison or None
        Against the champion; None where there was none.
    version, champion : str
        The model made now, and the one in force before; ``""`` where there was none.
    is_new, crowned : bool
        Whether it was not on record yet, and whether it came in force.
    """

    fitted: Fitted
    blocks: pd.DataFrame
    said: pd.DataFrame
    skill: Skill
    contest: Comparison | None
    version: str
    champion: str
    is_new: bool
    crowned: bool


def learned_words(told: Learned) -> list[str]:
    """Return what was learned, against which baseline, on how many effective samples, and what became of it."""
    fitted = told.fitted
    return [
        f"learned from {fitted.n} finished candidates, {fitted.n_eff:.0f} effective (trades that overlap count less)",
        *_walked(told.blocks),
        *_skill(told),
        *_payoff(told),
        f"calibrator: {fitted.report.method} on {fitted.report.n_eff:.0f} effective out-of-fold results",
        *_outcome(told),
    ]


def _walked(blocks: pd.DataFrame) -> list[str]:
    if blocks.empty:
        return ["walk-forward: no new block (each needs enough results known before it)"]
    first, last = format_ms(int(blocks["start_ms"].min()))[:10], format_ms(int(blocks["start_ms"].max()))[:10]
    closed = int(blocks["n_closed"].sum())
    weights = blocks["n_closed"].to_numpy(np.float64)
    losses = [
        float(np.average(blocks[name].fillna(0.0), weights=weights)) if closed else np.nan
        for name in ("log_loss", "log_loss_geometry", "log_loss_challenger")
    ]
    return [
        f"walk-forward: {len(blocks)} blocks from {first} to {last}, {int(blocks['n'].sum())} candidates judged by "
        f"models that knew nothing of their time, {closed} of them finished",
        f"  log-loss (less is better): model {losses[0]:.4f}, geometry of the plan alone {losses[1]:.4f}, "
        f"logistic regression {losses[2]:.4f}",
    ]


def _skill(told: Learned) -> list[str]:
    skill = told.skill
    if skill.n == 0:
        return ["skill over the geometry: not enough data (no out-of-sample result yet)"]
    verdict = "shown" if skill.shown else "not shown: p(win) is right on average at best, and nothing is certified"
    return [
        f"skill over the geometry: {skill.gain_pct:+.2f} % of its log-loss, 5 % quantile {skill.low_pct:+.2f} %",
        f"skill over the share won so far: {skill.so_far_pct:+.2f} %, 5 % quantile {skill.so_far_low_pct:+.2f} %",
        f"  {skill.n} results in {skill.weeks} weeks; better than both is {verdict}",
    ]


def _payoff(told: Learned) -> list[str]:
    payoff, said = told.fitted.payoff, told.said
    lines = [f"payoff: {100 * payoff.b_lcb:.0f} % of a predicted result can be relied on, offset {payoff.a0:+.3f} R"]
    if len(said):
        passed = said[said["ev_r"] > 0.0]
        mean = f"{said['net_r'].mean():+.3f} R"
        of_passed = f"{passed['net_r'].mean():+.3f} R ({len(passed)} results)" if len(passed) else "none"
        lines.append(
            f"out of sample: all candidates {mean} ({len(said)} results), those of expected value above 0 {of_passed}"
        )
    return lines


def _outcome(told: Learned) -> list[str]:
    if not told.is_new:
        return [f"{told.version} is on record already: nothing new was learned, nothing changes"]
    if told.crowned and told.contest is None:
        return [f"{told.version} is in force: there was no model before"]
    if told.contest is None:
        return [f"{told.version}: not put in force"]
    why = _REASONS[told.contest.reason]
    measured = f"{told.contest.mean_nats:+.4f} nats a candidate, 5 % quantile {told.contest.low_nats:+.4f}"
    head = (
        f"{told.version} is in force in place of {told.champion}" if told.crowned else f"{told.champion} stays in force"
    )
    return [f"{head}: {why} ({told.contest.n} results in {told.contest.weeks} weeks, {measured})"]
