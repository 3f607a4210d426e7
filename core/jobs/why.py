"""Job `why`: the facts about one candidate, gathered for who wants to know why.

The law: what was in force when it was decided speaks, not what is in force now; nothing is written, and what can no
longer be told (a model whose files are gone) is said to be so while the rest is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from core.errors import ModelError, UsageError
from core.features import feature_set
from core.gate import Evidence, Model, expected_value
from core.jobs._console import console
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court, load_model
from core.jobs._learning import plans_of
from core.pipeline import ask, plan_columns
from core.results.explain import Moment
from core.results.rows import newest_policy
from core.results.why import Course, Facts, Judgement, Moved, judged_lines, why_words
from core.schema import FloatArray

__all__ = ["facts_of", "judged_lines_of", "moment_of", "run", "why_html"]

Row = dict[str, Any]

_VALUES = ("ev_payoff_r", "ev_p_r")
_SAME = 1e-6  # R


async def run(desk: Desk, now_ms: int, signal_id: int) -> Report:
    """Explain one candidate.

    Raises
    ------
    UsageError
        There is no signal of that id.
    """
    return Report("why", text=console(why_html(desk, now_ms, signal_id)))


def why_html(desk: Desk, now_ms: int, signal_id: int) -> str:
    """Explain one candidate, as HTML with ``<b>`` and ``<code>`` only.

    Raises
    ------
    UsageError
        There is no signal of that id.
    """
    signals = desk.reader.signals(ids=[signal_id])
    if signals.empty:
        newest = desk.reader.signals(limit=1, columns=["id"])
        known = f"the newest is #{newest['id'].iloc[0]}" if len(newest) else "none is on record yet"
        raise UsageError(f"signal #{signal_id} is not on record; {known}")
    moment = moment_of(desk, now_ms, str(signals["exchange"].iloc[0]))
    return why_words(facts_of(desk, signals, Court(desk))[0], moment)


def moment_of(desk: Desk, now_ms: int, exchange: str) -> Moment:
    """Return when and for whom a text about candles of an exchange is made."""
    return Moment(now_ms, desk.config.app.timezone, synthetic=desk.reader.meta(f"synthetic:{exchange}") == "1")


def facts_of(desk: Desk, signals: pd.DataFrame, court: Court) -> list[Facts]:
    """Return what is known of signals, in their order.

    Parameters
    ----------
    desk : Desk
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, stored.
    court : Court
        What was in force when.
    """
    ids = signals["id"].tolist()
    decisions, events = desk.reader.decisions(ids), desk.reader.events(ids)
    trades = desk.reader.trades(signal_ids=ids)
    in_force = desk.exits
    found = []
    for position, signal in enumerate(_rows(signals)):
        mine = (frame[frame["signal_id"] == signal["id"]] for frame in (decisions, trades, events))
        ruled, played, happened = map(_rows, mine)
        newest = newest_policy(pd.DataFrame(played), desk.reader.exit_policies()) if played else ""
        first = in_force if any(trade["exit_policy"] == in_force for trade in played) else newest
        played.sort(key=lambda trade: (trade["exit_policy"] != first, trade["exit_policy"]))
        courses = [
            Course(trade, [event for event in happened if event["exit_policy"] == trade["exit_policy"]])
            for trade in played
        ]
        judgement = _judgement(desk, signals.iloc[[position]], ruled[-1], court) if ruled else Judgement()
        found.append(Facts(signal, ruled, judgement, courses))
    return found


def judged_lines_of(desk: Desk, signal: pd.DataFrame) -> list[str]:
    """Return what the verdict of a signal (a frame of one row) rests on, for an alert; HTML, none where unjudged."""
    ruled = _rows(desk.reader.decisions(signal["id"].tolist()))
    if not ruled or not np.isfinite(ruled[-1]["ml_p"]):
        return []
    return judged_lines(ruled[-1], _then(_rows(signal)[0], ruled[-1], Court(desk)))


def _judgement(desk: Desk, signal: pd.DataFrame, decision: Row, court: Court) -> Judgement:
    """Return what stood behind a decision: what was in force then, and the model asked again."""
    if not np.isfinite(decision["ml_p"]):
        return Judgement()
    plan = plan_columns(signal, desk.costs)
    told = _then(_rows(signal)[0], decision, court)
    if str(signal["plan_hash"].iloc[0]) in plans_of(desk):
        told = replace(told, cost_r=float(plan["cost_r"][0]))
    version = str(decision["model_version"])
    if not (desk.reader.models()["version"] == version).any():
        return replace(told, silent=f"models of a walk-forward ({version}) are not kept")
    try:
        model = load_model(desk, version)
    except ModelError as error:
        return replace(told, silent=str(error))
    ids, vectors = desk.reader.features(model.feature_set, signal["id"].tolist())
    if not len(ids):
        return replace(told, silent="its features are not stored; `python retro_scan.py` fills them in")
    told = replace(told, moved=_moved(model, vectors))
    said = ask(model, signal, vectors, desk.costs).iloc[0]
    if not np.allclose([said[name] for name in _VALUES], [decision[name] for name in _VALUES], rtol=0.0, atol=_SAME):
        return replace(told, cost_r=np.nan)  # decided under other costs: parts that do not add up explain nothing
    win_r, loss_r, funding_r = _payoff_parts(model, signal, plan)
    return replace(told, cost_r=float(plan["cost_r"][0]), win_r=win_r, loss_r=loss_r, funding_r=funding_r)


def _then(signal: Row, decision: Row, court: Court) -> Judgement:
    """Return the gate's mode and the evidence of a candidate, as of its decision."""
    decided_ms = int(signal["decided_ms"])
    rules, evidence, _ = court.terms_at(decided_ms)
    if rules.evidence == "off":
        return Judgement(use_ev=rules.use_ev)
    # As the gate reads it: evidence tuned for another mode certifies nothing.
    known = evidence if evidence.mode == ("ev" if rules.use_ev else "p") else Evidence()
    score = float(decision["ev_pct"] if rules.use_ev else decision["ml_p"])
    line = known.line(signal["symbol"], signal["timeframe"], signal["regime_vol"], score, decided_ms)
    return Judgement(use_ev=rules.use_ev, evidence=line)


def _payoff_parts(model: Model, signal: pd.DataFrame, plan: dict[str, FloatArray]) -> tuple[float, float, float]:
    """Return the expected net result as a winner and as a loser, and the expected funding; R."""
    twice = {name: np.repeat(column, 2) for name, column in plan.items()}
    timeframe, direction = (str(signal[name].iloc[0]) for name in ("timeframe", "direction"))
    value = expected_value(
        model.payoff, np.array([1.0, 0.0]), np.zeros(2), **twice, timeframe=timeframe, direction=direction
    )
    funding_r = model.payoff.a0 - float(plan["cost_r"][0]) - float(value.ev_payoff_r[0])
    return float(value.ev_p_r[0]), float(value.ev_p_r[1]), funding_r


def _moved(model: Model, vectors: FloatArray) -> tuple[Moved, ...]:
    """Return how much each family moves the calibrated probability, the largest first."""
    scores = model.estimator.score(vectors)
    log_odds = model.estimator.contributions(vectors)[0]
    whole = float(model.calibrator.apply(scores.p_geo, scores.p_raw)[0])
    by_family = feature_set().by_family(model.columns, log_odds[:-1].tolist())
    without = 1.0 / (1.0 + np.exp(np.array(list(by_family.values())) - log_odds.sum()))
    p = model.calibrator.apply(np.repeat(scores.p_geo, len(without)), without)
    points = {family: 100.0 * (whole - float(value)) for family, value in zip(by_family, p, strict=True)}
    return tuple(
        Moved(family, points[family]) for family in sorted(points, key=lambda name: (-abs(points[name]), name))
    )


def _rows(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
