"""The verdict on each candidate, with its reason and the numbers behind it.

The law: the rule decides on what the model says, evidence may only refuse, and a candidate the model cannot judge is
never passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.gate.evidence import CERTIFIED, Evidence
from core.gate.model import Judged
from core.gate.thresholds import GateRules, resolve
from core.schema import DECISIONS, FloatArray, IntArray, frame_of

__all__ = [
    "DISABLED",
    "MODEL_UNREADABLE",
    "NO_MODEL",
    "PASSED",
    "REASONS",
    "VERDICTS",
    "Where",
    "abstained",
    "decide",
    "first_out_of_range",
    "refuse",
    "ungated",
]

VERDICTS = ("PASS", "FILTERED", "NO_EVIDENCE", "ABSTAIN", "UNGATED")
PASSED = frozenset({"PASS", "UNGATED"})  # verdicts that let a candidate through to the limits

NO_MODEL = "NO_MODEL"
DISABLED = "DISABLED"
MODEL_UNREADABLE = "MODEL_UNREADABLE"
NO_NUMBER = "NO_NUMBER"
DRIFT = "DRIFT"
EV_BELOW = "EV_BELOW"
P_BELOW = "P_BELOW"
EVIDENCE_OFF = "EVIDENCE_OFF"
MISSING_FEATURE = "MISSING_FEATURE"
FEATURE_OUT_OF_RANGE = "FEATURE_OUT_OF_RANGE"

REASONS = (
    "CERTIFIED",
    "NOT_CERTIFIED",
    "EXPIRED",
    EVIDENCE_OFF,
    DRIFT,
    EV_BELOW,
    P_BELOW,
    MISSING_FEATURE,
    FEATURE_OUT_OF_RANGE,
    NO_NUMBER,
    MODEL_UNREADABLE,
    NO_MODEL,
    DISABLED,
)
"""Every reason; those about a feature are followed by a colon and its name."""

_NUMBERS = ("p_geo", "ml_p_raw", "ml_p", "ev_payoff_r", "ev_p_r", "ev_pct", "threshold")


@dataclass(frozen=True, slots=True, eq=False)
class Where:
    """Where and when candidates stand; arrays of shape (n,).

    Parameters
    ----------
    symbol, timeframe, regime_trend, regime_vol : object array of str
    stop_frac : float64 array
        Distance from entry to stop, fraction of entry.
    decided_ms : int64 array
    """

    symbol: npt.NDArray[np.object_]
    timeframe: npt.NDArray[np.object_]
    regime_trend: npt.NDArray[np.object_]
    regime_vol: npt.NDArray[np.object_]
    stop_frac: FloatArray
    decided_ms: IntArray

    @classmethod
    def of(cls, signals: pd.DataFrame) -> Where:
        """Return where the rows of a frame with columns `schema.SIGNALS` stand."""
        names = ("symbol", "timeframe", "regime_trend", "regime_vol")
        words = {name: signals[name].to_numpy(dtype=object) for name in names}
        entry, sl = signals["entry"].to_numpy(np.float64), signals["sl"].to_numpy(np.float64)
        decided_ms = signals["decided_ms"].to_numpy(np.int64)
        return cls(**words, stop_frac=np.abs(entry - sl) / entry, decided_ms=decided_ms)


def decide(
    judged: Judged,
    missing: Sequence[str] | npt.NDArray[np.object_],
    where: Where,
    rules: GateRules,
    evidence: Evidence,
    alarm: bool,
    model_version: str,
) -> pd.DataFrame:
    """Decide candidates a model has judged.

    Parameters
    ----------
    judged : Judged
    missing : sequence of str, shape (n,)
        The required feature each candidate lacks, ``""`` where it has all (`Model.missing`).
    where : Where
    rules : GateRules
    evidence : Evidence
        As of the decisions.
    alarm : bool
        Whether a drift alarm stands.
    model_version : str

    Returns
    -------
    pandas.DataFrame
        Columns `schema.DECISIONS`, one row a candidate in order; `signal_id` is 0 until it is stored.

    Notes
    -----
    In this order: a candidate the model cannot judge is ``ABSTAIN``. Where evidence is asked for (``show``,
    ``require``), a drift alarm is ``NO_EVIDENCE``; where it is required, so is a slice that is not certified. Otherwise
    the rule decides: ``PASS`` at or above the threshold, else ``FILTERED``. The reason of a ``PASS`` is the state of
    its evidence. Evidence tuned for another mode than the rule's certifies nothing.
    """
    thresholds = resolve(rules, where.symbol, where.timeframe, where.regime_trend, where.regime_vol, where.decided_ms)
    ev_pct = 100.0 * judged.ev_r * where.stop_frac
    score = ev_pct if rules.use_ev else judged.p
    known = evidence if evidence.mode == ("ev" if rules.use_ev else "p") else Evidence()
    state = known.asked(where.symbol, where.timeframe, where.regime_vol, score, where.decided_ms).state
    enough = score >= thresholds.least
    verdict, reason = _by_rule(enough, state, rules, alarm)
    lacks = np.asarray(missing, dtype=object)
    without, lost = lacks != "", ~np.isfinite(score)
    verdict[without | lost] = "ABSTAIN"
    reason[lost] = NO_NUMBER
    reason[without] = [f"{MISSING_FEATURE}:{name}" for name in lacks[without]]
    silent = np.where(without, np.nan, 1.0)  # numbers made of a vector with holes are not shown
    numbers = {
        "p_geo": judged.p_geo * silent,
        "ml_p_raw": judged.p_raw * silent,
        "ml_p": judged.p * silent,
        "ev_payoff_r": judged.ev_payoff_r * silent,
        "ev_p_r": judged.ev_p_r * silent,
        "ev_pct": ev_pct * silent,
        "threshold": thresholds.least,
    }
    words = {"verdict": verdict, "reason": reason, "threshold_source": thresholds.source}
    return frame_of(
        {**numbers, **words, "signal_id": 0, "seq": 0, "model_version": model_version}, len(judged), DECISIONS
    )


def _by_rule(
    enough: npt.NDArray[np.bool_], state: npt.NDArray[np.object_], rules: GateRules, alarm: bool
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
    """Return verdict and reason of candidates that could be judged."""
    n = len(enough)
    if alarm and rules.evidence != "off":
        return np.full(n, "NO_EVIDENCE", dtype=object), np.full(n, DRIFT, dtype=object)
    verdict = np.where(enough, "PASS", "FILTERED").astype(object)
    if rules.evidence == "off":
        reason = np.full(n, DRIFT if alarm else EVIDENCE_OFF, dtype=object)
    else:
        reason = state.copy()
    reason[~enough] = EV_BELOW if rules.use_ev else P_BELOW
    if rules.evidence == "require":
        unproven = state != CERTIFIED
        verdict[unproven], reason[unproven] = "NO_EVIDENCE", state[unproven]
    return verdict, reason


def ungated(n: int, enabled: bool) -> pd.DataFrame:
    """Decide `n` candidates for which no model is in force.

    Parameters
    ----------
    n : int
        How many.
    enabled : bool
        `models.meta.enabled`: names the reason, ``NO_MODEL`` or ``DISABLED``.

    Returns
    -------
    pandas.DataFrame
        Columns `schema.DECISIONS`, one row a candidate in order; `signal_id` is 0 until it is stored.
    """
    return _without_numbers(n, "UNGATED", NO_MODEL if enabled else DISABLED, "")


def abstained(n: int, model_version: str, reason: str = MODEL_UNREADABLE) -> pd.DataFrame:
    """Decide `n` candidates while the model in force cannot be verified.

    Returns
    -------
    pandas.DataFrame
        Columns `schema.DECISIONS`; every verdict is ``ABSTAIN``.
    """
    return _without_numbers(n, "ABSTAIN", reason, model_version)


def _without_numbers(n: int, verdict: str, reason: str, model_version: str) -> pd.DataFrame:
    unknown = dict.fromkeys(_NUMBERS, np.nan)
    words = {"verdict": verdict, "reason": reason, "threshold_source": "", "model_version": model_version}
    return frame_of({**unknown, **words, "signal_id": 0, "seq": 0}, n, DECISIONS)


def first_out_of_range(
    vectors: FloatArray, columns: Sequence[str], bounds: Mapping[str, tuple[float, float]]
) -> npt.NDArray[np.object_]:
    """Return the first feature of each candidate that a hard filter refuses, ``""`` where none does.

    Parameters
    ----------
    vectors : float64 array, shape (n, k)
    columns : sequence of str
        Names of the features, in order.
    bounds : mapping of str to tuple of float
        Least and greatest value, both allowed.

    Notes
    -----
    A feature that is not known is not within its bounds.
    """
    names = np.array([*bounds, ""], dtype=object)
    outside = np.ones((len(vectors), len(names)), dtype=np.bool_)
    for position, (name, (least, most)) in enumerate(bounds.items()):
        value = vectors[:, list(columns).index(name)]
        outside[:, position] = ~((value >= least) & (value <= most))
    first: npt.NDArray[np.object_] = names[outside.argmax(axis=1)]
    return first


def refuse(decisions: pd.DataFrame, out_of_range: Sequence[str] | npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return decisions with the candidates a hard filter refuses made ``FILTERED``, whatever the model said.

    Parameters
    ----------
    decisions : pandas.DataFrame
        Columns `schema.DECISIONS`.
    out_of_range : sequence of str, shape (n,)
        The feature that refuses each candidate, ``""`` where none does (`first_out_of_range`).
    """
    names = np.asarray(out_of_range, dtype=object)
    refused = names != ""
    verdict, reason = (decisions[column].to_numpy(dtype=object, copy=True) for column in ("verdict", "reason"))
    verdict[refused] = "FILTERED"
    reason[refused] = [f"{FEATURE_OUT_OF_RANGE}:{name}" for name in names[refused]]
    columns = {**{name: decisions[name].array for name in DECISIONS}, "verdict": verdict, "reason": reason}
    return frame_of(columns, len(decisions), DECISIONS)
