"""Candidates of the past before the court: described with what had become known by then, judged, and written down.

The law: what was in force then judges; where nothing was, a model that knew no later outcome may; and what a live scan
has decided stays decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from core.errors import TraderError
from core.features import Plans
from core.jobs._candidates import put_features
from core.jobs._describe import outcomes_with
from core.jobs._desk import Desk
from core.jobs._fill import Filled
from core.jobs._gating import Court, load_model, newest_champion, require_recorded
from core.jobs._learning import ledger_of
from core.pipeline import decided, nobody
from core.schema import FloatArray, IntArray

__all__ = ["Heard", "Hearing"]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What was decided of a stretch's candidates, row by row.

    Parameters
    ----------
    signals, decisions : pandas.DataFrame
        Columns `schema.SIGNALS` and `schema.DECISIONS`.
    vectors : float64 array, shape (n, k)
    """

    signals: pd.DataFrame
    decisions: pd.DataFrame
    vectors: FloatArray

    def slice(self, lo: int, hi: int) -> Heard:
        """Return some rows."""
        return Heard(self.signals.iloc[lo:hi], self.decisions.iloc[lo:hi], self.vectors[lo:hi])


class Hearing:
    """Describes and judges the candidates of a retro scan.

    Parameters
    ----------
    desk : Desk
    model : str
        Who judges all of them: a version, ``current`` for the one in force now, ``""`` for who was in force then.

    Raises
    ------
    UsageError
        There is no such model.
    TraderError
        None is in force.
    ModelError
        It cannot be read.
    """

    def __init__(self, desk: Desk, model: str) -> None:
        self._desk = desk
        always = newest_champion(desk) if model == "current" else model
        if model and not always:
            raise TraderError("no model is in force that could judge; train one with `python train_meta.py`")
        if model not in ("", "current"):
            require_recorded(desk, model)
        self._learned_to = load_model(desk, always).train_max_t1 if always else 0
        self._court = Court(desk, always)
        self._may_ask_ledger = not always and desk.features is not None
        self._ids: dict[tuple[str, str, str], dict[str, int]] = {}

    def hear(self, filled: Filled) -> Heard:
        """Judge the candidates found in a stretch."""
        vectors = self._with_outcomes(filled)
        decisions = self._court.judge(filled.signals, vectors, self._said(filled.signals))
        decisions["signal_id"] = filled.signals["id"].to_numpy()
        in_sample = (filled.signals["decided_ms"] <= self._learned_to).astype("int64")
        return Heard(decided(filled.signals, decisions).assign(in_sample=in_sample), decisions, vectors)

    def write(self, heard: Heard, ids: IntArray, is_new: np.ndarray) -> None:
        """Write down what was decided: at once of new candidates, of older retro ones where it has changed."""
        decisions = heard.decisions.assign(signal_id=ids)
        self._desk.writer.put_decisions(decisions[is_new])
        put_features(self._desk, ids, heard.vectors)
        if not is_new.all():
            again = decisions.assign(in_sample=heard.signals["in_sample"].to_numpy())[~is_new]
            self._desk.writer.decide_again(again)

    def _with_outcomes(self, filled: Filled) -> FloatArray:
        """Return vectors with what had become of earlier candidates of the same series by then."""
        features, signals, vectors = self._desk.features, filled.signals, filled.vectors
        if features is None or signals.empty:
            return vectors
        vectors = vectors.copy()
        own = filled.trades[["status", "known_ms", "r_multiple"]].iloc[len(filled.trades) - len(signals) :]
        plans = Plans.of(signals.assign(plan=""))  # outcomes look at no leg, and reading legs takes longest
        for rows in signals.groupby(list(_SERIES), sort=False).indices.values():
            symbol, timeframe, plan_hash = (str(signals[name].iloc[rows[0]]) for name in _SERIES)
            from_ms = int(plans.decided_ms[rows].min())
            outcomes = outcomes_with(self._desk, (symbol, timeframe, plan_hash), from_ms, own.iloc[rows])
            vectors[rows] = features.with_outcomes(vectors, plans, outcomes)[rows]
        return vectors

    @cached_property
    def _ledger(self) -> pd.DataFrame:
        return self._desk.reader.predictions(ledger_of(self._desk)).set_index("signal_id")

    def _said(self, signals: pd.DataFrame) -> pd.DataFrame | None:
        """Return what was said of candidates out of sample, as opinions; None where nothing was."""
        if not self._may_ask_ledger or self._ledger.empty or signals.empty:
            return None
        ids = np.array([self._known(*row) for row in zip(*(signals[name] for name in _WHOSE), strict=True)])
        there = np.flatnonzero(np.isin(ids, self._ledger.index.to_numpy()))
        told = self._ledger.loc[ids[there]]
        said = nobody(len(signals))
        for name in ("model", "p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r"):
            said.loc[there, name] = told[name].to_numpy()
        return said

    def _known(self, key: str, symbol: str, timeframe: str, plan_hash: str) -> int:
        series = (symbol, timeframe, plan_hash)
        if series not in self._ids:
            self._ids[series] = self._desk.reader.signal_ids(self._desk.exchange, *series)
        return self._ids[series].get(key, 0)


_SERIES = ("symbol", "timeframe", "plan_hash")
_WHOSE = ("key", *_SERIES)
