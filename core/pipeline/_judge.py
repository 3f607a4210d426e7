"""From candidates to feature vectors, from vectors to opinions, and from opinions to verdicts.

The law: what judges is what was in force when a candidate was decided, and it is handed in; nothing here knows the
present.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.execution.costs import CostModel
from core.features import FeatureSet, Outcomes, Plans, View
from core.gate import Evidence, GateRules, Judged, Model, Where, abstained, decide, ungated
from core.schema import DECISIONS, OPINIONS, SIGNALS, Candles, FloatArray, frame_of

__all__ = ["Surroundings", "ask", "decided", "describe", "judge", "nobody", "plan_columns"]

_SAID = ("p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r")


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What features may look at beside a series' own candles.

    Parameters
    ----------
    benchmark : Candles
        Of the same timeframe, of the symbol the market follows; may be empty.
    funding : float64 array, shape (m, 2)
        Recorded settlements of the symbol: time in UTC ms, ascending, and rate as a fraction; may be empty.
    """

    benchmark: Candles
    funding: FloatArray


def describe(
    signals: pd.DataFrame,
    candles: Candles,
    timeframe: str,
    features: FeatureSet,
    costs: CostModel,
    around: Surroundings,
    outcomes: Outcomes,
) -> FloatArray:
    """Compute the feature vectors of candidates of one series.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`; the candle that made each is among `candles`.
    candles : Candles
        Closed candles with ``features.warmup`` of them, or all there are, before the first candidate's.
    timeframe : str
    features : FeatureSet
    costs : CostModel
    around : Surroundings
    outcomes : Outcomes
        Finished candidates of the series.

    Returns
    -------
    float64 array, shape (n, k)
    """
    at = np.searchsorted(candles.ts, signals["ts_ms"].to_numpy(np.int64)).astype(np.int64)
    view = View(candles, at, Plans.of(signals), timeframe, costs, around.benchmark, around.funding, outcomes)
    return features.compute(view)


def plan_columns(signals: pd.DataFrame, costs: CostModel) -> dict[str, FloatArray]:
    """Return what a plan's value depends on: stop_frac, rr1, rr2 and cost_r, each of shape (n,).

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    costs : CostModel

    Notes
    -----
    A plan without a second target counts its first one twice. ``cost_r`` is `CostModel.expected_round_trip_pct` in
    multiples of the distance from entry to stop.
    """
    entry, sl, tp1, tp2 = (signals[name].to_numpy(np.float64) for name in ("entry", "sl", "tp1", "tp2"))
    risk = np.abs(entry - sl)
    rr1, rr2 = np.abs(tp1 - entry) / risk, np.abs(tp2 - entry) / risk
    rests = signals["order_type"].to_numpy(dtype=object) == "limit"
    stop_frac = risk / entry
    cost_r = costs.expected_round_trip_pct(rests) / (100.0 * stop_frac)
    return {"stop_frac": stop_frac, "rr1": rr1, "rr2": np.where(np.isnan(rr2), rr1, rr2), "cost_r": cost_r}


def ask(model: Model, signals: pd.DataFrame, vectors: FloatArray, costs: CostModel) -> pd.DataFrame:
    """Return what a model says of candidates.

    Parameters
    ----------
    model : Model
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    vectors : float64 array, shape (n, k)
        Their features, row by row.
    costs : CostModel

    Returns
    -------
    pandas.DataFrame
        Columns `schema.OPINIONS`, row by row beside `signals`.
    """
    said = model.judge(
        vectors,
        **plan_columns(signals, costs),
        timeframe=signals["timeframe"].to_numpy(dtype=object),
        direction=signals["direction"].to_numpy(dtype=object),
    )
    words = {"model": model.version, "missing": model.missing(vectors), "unreadable": 0}
    return frame_of({**words, **{name: getattr(said, name) for name in _SAID}}, len(signals), OPINIONS)


def nobody(n: int, unreadable: str = "") -> pd.DataFrame:
    """Return the opinions of nobody, or of a model that cannot be read, of `n` candidates."""
    words = {"model": unreadable, "missing": "", "unreadable": int(unreadable != "")}
    return frame_of({**words, **dict.fromkeys(_SAID, np.nan)}, n, OPINIONS)


def judge(
    signals: pd.DataFrame, opinions: pd.DataFrame, rules: GateRules, evidence: Evidence, alarm: bool, enabled: bool
) -> pd.DataFrame:
    """Decide candidates: verdict, reason, and the numbers behind them.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    opinions : pandas.DataFrame
        Columns `schema.OPINIONS`, row by row beside `signals`.
    rules : GateRules
    evidence : Evidence
    alarm : bool
        Whether a drift alarm stood.
    enabled : bool
        `models.meta.enabled`; false leaves every candidate UNGATED.

    Returns
    -------
    pandas.DataFrame
        Columns `schema.DECISIONS`, row by row beside `signals`.
    """
    n = len(signals)
    if not enabled:
        return ungated(n, enabled=False)
    who = opinions["model"].to_numpy(dtype=object)
    unreadable = opinions["unreadable"].to_numpy() == 1
    told = np.flatnonzero((who != "") & ~unreadable)
    silent, broken = np.flatnonzero(who == ""), np.flatnonzero(unreadable)
    parts = [ungated(len(silent), enabled=True), abstained(len(broken), "")]
    if len(told):
        numbers = opinions.iloc[told]
        judged = Judged(*(numbers[name].to_numpy() for name in _SAID))
        missing = numbers["missing"].to_numpy(dtype=object)
        parts.append(decide(judged, missing, Where.of(signals.iloc[told]), rules, evidence, alarm, ""))
    order = np.argsort(np.concatenate([silent, broken, told]), kind="stable")
    decisions = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True).take(order)
    columns = {name: decisions[name].array for name in DECISIONS}
    return frame_of({**columns, "model_version": who}, n, DECISIONS)


def decided(signals: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Return signals with what was decided of them.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    decisions : pandas.DataFrame
        Columns `schema.DECISIONS`, row by row beside `signals`.
    """
    known = {name: signals[name].array for name in SIGNALS}
    said = {name: decisions[name].array for name in DECISIONS if name in SIGNALS}
    return frame_of({**known, **said}, len(signals), SIGNALS)
