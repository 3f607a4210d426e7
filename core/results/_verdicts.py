"""The gate's and the account's words: what each verdict, reason, threshold and limit means to a person.

The law: every word a machine writes has a sentence here; one that has none is shown as it is, never left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from core.results._phrases import Row, escaped
from core.results.words import in_percent, in_signed_percent

__all__ = ["BLOCKED", "REASONS", "VERDICTS", "blocked_words", "reason_words", "threshold_words", "verdict_words"]

VERDICTS: Mapping[str, str] = MappingProxyType(
    {
        "PASS": "a model judged it and let it through",
        "FILTERED": "it was judged and refused",
        "NO_EVIDENCE": "refused for want of evidence, whatever its own numbers",
        "ABSTAIN": "it could not be judged, so it was not let through",
        "UNGATED": "no model was in force: the rule proposed it, nothing filtered it",
    }
)
"""What each verdict means."""

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "CERTIFIED": "candidates like it have earned after costs out of sample, with statistical evidence",
        "NOT_CERTIFIED": "there is no evidence that candidates like it earn",
        "EXPIRED": "the evidence there was about candidates like it is out of date",
        "EVIDENCE_OFF": "evidence was not asked for (models.meta.gating.evidence: off)",
        "DRIFT": "a drift alarm stood: outcomes had been worse than predicted for too long to be chance",
        "EV_BELOW": "its expected value is below the threshold",
        "P_BELOW": "its p(win) is below the threshold",
        "MISSING_FEATURE": "a feature the model cannot do without was not known: {name}",
        "FEATURE_OUT_OF_RANGE": "{name} is outside the bounds that signals.filters sets",
        "NO_NUMBER": "the model gave no number for it",
        "MODEL_UNREADABLE": "the model in force does not verify, or was made for other plans, exits or features",
        "NO_MODEL": "no model was in force then",
        "DISABLED": "models were switched off (models.meta.enabled: false)",
    }
)
"""What each reason means; ``{name}`` is the feature that follows its colon."""

BLOCKED: Mapping[str, str] = MappingProxyType(
    {
        "MAX_OPEN": "no slot was free (risk.limits.max_open)",
        "MAX_OPEN_PER_SYMBOL": "no slot was free for its symbol (risk.limits.max_open_per_symbol)",
        "COOLDOWN": "its symbol and timeframe rested after a stop (risk.limits.cooldown_candles)",
        "STOP_GUARD": "too many stops in a short time had paused everything (risk.limits.stop_guard)",
        "DAILY_LOSS": "the day's loss had reached risk.limits.max_daily_loss_pct",
        "MIN_NOTIONAL": "its size is below the exchange's minimum order",
    }
)
"""What keeps a passed candidate from being taken."""


def reason_words(reason: str) -> str:
    """Return what a reason means, HTML.

    Examples
    --------
    >>> reason_words("MISSING_FEATURE:trend_adx")
    'a feature the model cannot do without was not known: trend_adx'
    """
    word, _, name = reason.partition(":")
    told = REASONS.get(word)
    return escaped(reason) if told is None else told.format(name=escaped(name))


def verdict_words(verdict: str, reason: str) -> str:
    """Return a verdict with its reason, HTML.

    Examples
    --------
    >>> verdict_words("UNGATED", "NO_MODEL")
    '<b>UNGATED</b>: no model was in force: the rule proposed it, nothing filtered it.'
    """
    head = f"<b>{escaped(verdict)}</b>"
    means = VERDICTS.get(verdict, "a verdict of another version")
    if not reason or (verdict, reason) == ("UNGATED", "NO_MODEL"):
        return f"{head}: {means}."
    joined = "Its evidence" if verdict == "PASS" else "Why"
    return f"{head}: {means}. {joined}: {reason_words(reason)}."


def blocked_words(blocked_by: str) -> str:
    """Return what kept a passed candidate from being taken, HTML."""
    return BLOCKED.get(blocked_by, escaped(blocked_by))


def threshold_words(decision: Row, use_ev: bool) -> str:
    """Return the number a candidate had to reach and where that came from, HTML; ``""`` where there was none."""
    least = float(decision["threshold"])
    if not math.isfinite(least):
        return ""
    amount = f"{in_signed_percent(least)} of the position" if use_ev else f"p(win) {in_percent(least)}"
    kind, _, of = str(decision["threshold_source"]).partition(" ")
    key = "min_ev_pct" if use_ev else "threshold"
    origins = {
        "general": f"the general threshold, models.meta.gating.{key}",
        "per_pair_tf": f"the threshold of {escaped(of)}, models.meta.gating.per_pair_tf",
        "per_regime": f"the threshold of the regime {escaped(of)}, models.meta.gating.per_regime",
        "floors": f"the floor no threshold goes below, models.meta.gating.floors.{key}",
    }
    return f"at least {amount} ({origins.get(kind, escaped(decision['threshold_source']))})"
