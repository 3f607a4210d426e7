"""What was in force when: the champion, the thresholds with their evidence, and the alarm.

The law: a close is judged by what was in force at its `decided_ms`, whoever asks and whenever; so a scan of the past
and the live scan of the same close agree.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pandas as pd
from pydantic import ValidationError

from core.config import Config, Gating
from core.errors import ModelError, StoreError, UsageError, nearest
from core.execution.costs import CostModel
from core.features import FeatureSet
from core.gate import Evidence, GateRules, Model, Override, first_out_of_range, refuse
from core.jobs._desk import Desk
from core.jobs._when import not_before
from core.pipeline import ask, judge, nobody
from core.schema import DECISIONS, FloatArray, IntArray, empty_frame
from core.store import artefacts
from core.store.reader import Reader
from core.training.card import model_from_files

__all__ = [
    "Court",
    "Files",
    "gate_rules",
    "gating_text",
    "load_model",
    "newest_champion",
    "note_gating",
    "require_recorded",
]

_Value = TypeVar("_Value")


def gate_rules(gating: Gating) -> GateRules:
    """Return what the gate asks under a gating section."""
    return GateRules(
        use_ev=gating.use_ev,
        min_ev_pct=gating.min_ev_pct,
        threshold=gating.threshold,
        evidence=gating.evidence,
        floor_ev_pct=gating.floors.min_ev_pct,
        floor_threshold=gating.floors.threshold,
        per_pair_tf={
            symbol: {
                timeframe: Override(one.min_ev_pct, one.threshold, one.expires_ms)
                for timeframe, one in timeframes.items()
            }
            for symbol, timeframes in gating.per_pair_tf.items()
        },
        per_regime={name: Override(one.min_ev_pct, one.threshold) for name, one in gating.per_regime.items()},
    )


def gating_text(gating: Gating) -> str:
    """Return a gating section as one canonical line of JSON."""
    return json.dumps(gating.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def note_gating(desk: Desk, since_ms: int) -> bool:
    """Record the gating section in force from a time on, where it differs from the newest on record.

    A hand edit keeps the evidence there is: that was found at thresholds of its own, which it names.
    """
    text = gating_text(desk.config.models.meta.gating)
    if _newest(desk.reader) == text:
        return False
    with desk.writer.transaction():  # a tuning may be about to record what it has just written into the file
        if _newest(desk.reader) == text:
            return False
        newest = desk.reader.thresholds(limit=1)
        evidence = newest["evidence"].iloc[0] if len(newest) else json.dumps(Evidence().to_json())
        begins_ms = not_before(since_ms, newest["since_ms"])
        desk.writer.put_thresholds(begins_ms, text, evidence, "user", "configuration file")
    return True


def _newest(reader: Reader) -> str | None:
    newest = reader.thresholds(limit=1)
    return str(newest["gating"].iloc[0]) if len(newest) else None


def newest_champion(desk: Desk) -> str:
    """Return the model in force now, or from the next minute on; ``""`` where there is none.

    Learning goes on from here: what was put in force a moment ago has not begun to judge yet.
    """
    newest = desk.reader.reigns()["version"].tolist()[-1:]
    return str(newest[0]) if newest else ""


def load_model(desk: Files, version: str) -> Model:
    """Return a recorded model, checked against the database; read once, and again only until it can be.

    Raises
    ------
    ModelError
        It is not recorded, its files are missing or damaged, or it no longer says what it said when it was made.
    """
    known: dict[str, Model] = desk.memory.setdefault("models", {})
    if version not in known:
        known[version] = _read_model(desk, version)
    return known[version]


def require_recorded(desk: Files, version: str) -> None:
    """Refuse a version somebody has named that is not on record.

    Raises
    ------
    UsageError
    """
    recorded = desk.reader.models()["version"].tolist()
    if version not in recorded:
        raise UsageError(_unrecorded(version, recorded))


def _unrecorded(version: str, recorded: Sequence[str]) -> str:
    return f"model '{version}' is not on record; {nearest(version, recorded)}".rstrip("; ")


def _read_model(desk: Files, version: str) -> Model:
    recorded = desk.reader.models().set_index("version")
    if version not in recorded.index:
        raise ModelError(_unrecorded(version, recorded.index.tolist()))
    files = artefacts.load(desk.config.models.meta.model_path, version, str(recorded.loc[version, "sha256"]))
    return model_from_files(version, files)[0]


@dataclass(frozen=True, slots=True, eq=False)
class _History(Generic[_Value]):
    """Something that changes: `values[i]` from ``since_ms[i]`` on, `before` until the first."""

    since_ms: IntArray
    values: Sequence[_Value]
    before: _Value

    def parts(self, moments: IntArray) -> Iterator[tuple[IntArray, _Value]]:
        """Yield the positions of moments at which the same was in force, and what it was."""
        found = np.searchsorted(self.since_ms, moments, side="right") - 1
        for position in np.unique(found):
            yield np.flatnonzero(found == position), self.before if position < 0 else self.values[position]


class Files(Protocol):
    """What a court looks into; a desk has it."""

    @property
    def config(self) -> Config: ...
    @property
    def reader(self) -> Reader: ...
    @property
    def features(self) -> FeatureSet | None: ...
    @property
    def exits(self) -> str: ...
    @property
    def costs(self) -> CostModel: ...
    @property
    def log(self) -> logging.Logger: ...
    @property
    def memory(self) -> dict[str, Any]: ...


class Court:
    """Judges candidates by what was in force when they were decided.

    Parameters
    ----------
    desk : Files
        Its configuration says what holds before anything is on record, and whether a model is asked at all.
    always : str
        A model that judges all candidates, whatever was in force; ``""`` for none.
    """

    def __init__(self, desk: Files, always: str = "") -> None:
        self._desk = desk
        reigns = desk.reader.reigns()
        self._champions = _History(reigns["since_ms"].to_numpy(), reigns["version"].tolist(), "")
        if always:
            self._champions = _History(np.empty(0, dtype=np.int64), [], always)
        self._thresholds = _thresholds(desk)
        self._alarms = _alarms(desk.reader)
        filters = desk.config.signals.filters
        self._bounds = {
            name: (-np.inf if one.min is None else one.min, np.inf if one.max is None else one.max)
            for name, one in filters.items()
        }

    def judge(self, signals: pd.DataFrame, vectors: FloatArray, said: pd.DataFrame | None = None) -> pd.DataFrame:
        """Decide candidates.

        Parameters
        ----------
        signals : pandas.DataFrame
            Columns `schema.SIGNALS`.
        vectors : float64 array, shape (n, k)
            Under the desk's feature set; not looked at where it has none.
        said : pandas.DataFrame, optional
            Columns `schema.OPINIONS`, row by row beside `signals`: what models that knew no later outcome say of
            candidates for which none was in force.

        Returns
        -------
        pandas.DataFrame
            Columns `schema.DECISIONS`, row by row beside `signals`.
        """
        if signals.empty:
            return empty_frame(DECISIONS)
        decided = signals["decided_ms"].to_numpy(np.int64)
        enabled = self._desk.config.models.meta.enabled
        opinions = self.opinions(signals, vectors) if enabled else nobody(len(signals))
        if said is not None and enabled:
            silent = (opinions["model"] == "").to_numpy()
            opinions = pd.concat([opinions[~silent], said[silent]]).sort_index(kind="stable")
        parts = []
        for where, (rules, evidence) in self._thresholds.parts(decided):
            for among, alarm in self._alarms.parts(decided[where]):
                rows = where[among]
                told = judge(signals.iloc[rows], opinions.iloc[rows], rules, evidence, alarm, enabled)
                parts.append(told.set_axis(rows))
        decisions = pd.concat(parts).sort_index().reset_index(drop=True)
        if self._bounds and self._desk.features is not None:
            out_of_range = first_out_of_range(vectors, self._desk.features.columns, self._bounds)
            decisions = refuse(decisions, out_of_range)
        return decisions

    def opinions(self, signals: pd.DataFrame, vectors: FloatArray) -> pd.DataFrame:
        """Return what those in force say of candidates, columns `schema.OPINIONS`; arguments as of `judge`."""
        parts = [nobody(0)]
        for where, version in self._champions.parts(signals["decided_ms"].to_numpy(np.int64)):
            rows = signals.iloc[where]
            parts.append(self._opinions_of(version, rows, vectors[where]).set_axis(where))
        return pd.concat(parts).sort_index()

    def terms_at(self, ms: int) -> tuple[GateRules, Evidence, bool]:
        """Return the gate's rules, the evidence, and whether an alarm stood at a time."""
        moment = np.array([ms], dtype=np.int64)
        (_, (rules, evidence)), (_, alarm) = next(self._thresholds.parts(moment)), next(self._alarms.parts(moment))
        return rules, evidence, alarm

    def champion_at(self, ms: int) -> str:
        """Return the model in force at a time; ``""`` where none was."""
        _, version = next(self._champions.parts(np.array([ms], dtype=np.int64)))
        return str(version)

    def _opinions_of(self, version: str, signals: pd.DataFrame, vectors: FloatArray) -> pd.DataFrame:
        if not version or self._desk.features is None:
            return nobody(len(signals))
        try:
            model = load_model(self._desk, version)
        except ModelError as error:
            self._tell_once(str(error))
            return nobody(len(signals), unreadable=version)
        if model.feature_set != self._desk.features.id or model.exit_policy != self._desk.exits:
            return self._abstain(version, len(signals))
        learned = signals["plan_hash"].isin(model.plan_hash.split(",")).to_numpy()
        others = nobody(int((~learned).sum()), unreadable=version).set_axis(np.flatnonzero(~learned))
        asked = ask(model, signals[learned], vectors[learned], self._desk.costs).set_axis(np.flatnonzero(learned))
        return pd.concat([asked, others]).sort_index()

    def _abstain(self, version: str, n: int) -> pd.DataFrame:
        """Return nobody's opinions where a model has learned of other features, or of other trades than are played."""
        self._tell_once(
            f"model {version}: made for other features, exits or costs than those in force; "
            "after `python retro_scan.py`, `python train_meta.py` makes one for these"
        )
        return nobody(n, unreadable=version)

    def _tell_once(self, line: str) -> None:
        told: set[str] = self._desk.memory.setdefault("models_told", set())
        if line not in told:
            told.add(line)
            self._desk.log.error("%s; its candidates are ABSTAIN", line)


def _thresholds(desk: Files) -> _History[tuple[GateRules, Evidence]]:
    """Return what the gate asked and what had been shown, through time."""
    rows = desk.reader.thresholds()
    # What was tuned later was tuned on what is judged now.
    before = gate_rules(desk.config.models.meta.gating.model_copy(update={"per_pair_tf": {}}))
    values = [_read_thresholds(*row) for row in zip(rows["id"], rows["gating"], rows["evidence"], strict=True)]
    return _History(rows["since_ms"].to_numpy(), values, (before, Evidence()))


@lru_cache(maxsize=1024)  # rows are never changed, and each scan that finds something asks for all of them
def _read_thresholds(number: int, gating: str, evidence: str) -> tuple[GateRules, Evidence]:
    try:
        return gate_rules(Gating.model_validate(json.loads(gating))), Evidence.from_json(json.loads(evidence))
    except (ValidationError, ValueError, ModelError) as error:
        raise StoreError(
            f"thresholds {number}: not as this program writes them ({str(error).splitlines()[0]})"
        ) from error


def _alarms(reader: Reader) -> _History[bool]:
    """Return whether an alarm of any statistic stood, through time."""
    rows = reader.drift().sort_values("ms", kind="stable")
    standing: set[str] = set()
    values = []
    for statistic, state in zip(rows["statistic"], rows["state"], strict=True):
        (standing.add if state == "alarm" else standing.discard)(statistic)
        values.append(bool(standing))
    return _History(rows["ms"].to_numpy(), values, False)
