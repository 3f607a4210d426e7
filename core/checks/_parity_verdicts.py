"""Recorded decisions on live candidates, made again from their recorded vectors.

The law: the engine's own court decides them, by the model, the thresholds, the evidence and the alarms on record for
`decided_ms`; a decision must come out in every number, and the signal must say what the decision says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from core.checks._compare import ABSENT, PRESENT, ROW
from core.checks._findings import CONFIGURATION, MODEL, UNEXPLAINED, Change, Finding, finding_of, row_changes
from core.checks._parity_signals import JUDGED, Series, Span, span_of
from core.clock import format_ms
from core.features import FeatureSet
from core.gate import MODEL_UNREADABLE, Evidence, GateRules, first_out_of_range, refuse
from core.pipeline import decided, judge, nobody, plan_hash
from core.risk.terms import Terms
from core.schema import FloatArray

__all__ = ["Bench", "Judge", "check_decisions"]

_NOT_JUDGED = ("signal_id", "seq")


class Judge(Protocol):
    """What decides candidates by what was in force at their time."""

    def judge(self, signals: pd.DataFrame, vectors: FloatArray) -> pd.DataFrame:
        """Return decisions, columns `schema.DECISIONS`."""

    def opinions(self, signals: pd.DataFrame, vectors: FloatArray) -> pd.DataFrame:
        """Return what the models in force say, columns `schema.OPINIONS`."""

    def terms_at(self, ms: int) -> tuple[GateRules, Evidence, bool]:
        """Return the gate's rules, the evidence, and whether an alarm stood at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What candidates are described and judged by now.

    Parameters
    ----------
    features : FeatureSet
    judges : callable
        Terms in, the judge of candidates decided under them out.
    fault : callable
        A model's version in; out why it cannot be read, ``""`` where it can.
    gating : GateRules
        As configured now.
    """

    features: FeatureSet
    judges: Callable[[Terms], Judge]
    fault: Callable[[str], str]
    gating: GateRules


def check_decisions(
    series: Series, spans: Sequence[Span], live: pd.DataFrame, bench: Bench
) -> tuple[int, list[Finding]]:
    """Judge recorded live candidates again and compare with what is recorded.

    Parameters
    ----------
    series : Series
    spans : sequence of Span
    live : pandas.DataFrame
        Columns `schema.SIGNALS`, decided in the spans.
    bench : Bench

    Returns
    -------
    int
        How many decisions were compared.
    list of Finding
    """
    compared, found = 0, list[Finding]()
    plans = {plan_hash(setup, series.rules) for setup in series.setups}
    whose = span_of(spans, live)
    for place, span in enumerate(spans):
        rows = live[whose == place]
        decisions = series.reader.decisions(rows["id"].tolist())
        decisions = decisions[decisions["seq"] == 0].set_index("signal_id", drop=False)
        is_there, is_known = rows["id"].isin(decisions.index), rows["plan_hash"].isin(plans)
        compared += int(is_there.sum())
        for _, row in rows[~is_there].iterrows():
            found.append(finding_of("decision", row, [(ROW, ABSENT, PRESENT)], UNEXPLAINED))
        for _, row in rows[is_there & ~is_known].iterrows():
            found.append(
                finding_of("decision", row, [("plan_hash", row["plan_hash"], "not configured")], CONFIGURATION)
            )
        asked = rows[is_there & is_known].reset_index(drop=True)
        if len(asked):
            recorded = decisions.loc[asked["id"]].reset_index(drop=True)
            found += _Check(series, span.terms, bench).rows(asked, recorded)
    return compared, found


class _Check:
    """Judges candidates decided under the same terms again, and finds the cause of each difference."""

    def __init__(self, series: Series, terms: Terms, bench: Bench) -> None:
        self.series, self.terms, self.bench = series, terms, bench
        self.court = bench.judges(terms)
        judging = terms.judging
        self.described_as = judging.feature_set if judging is not None else ""
        self.bounds = {
            name: (-np.inf if least is None else least, np.inf if most is None else most)
            for name, (least, most) in (judging.filters if judging is not None else {}).items()
        }

    def rows(self, live: pd.DataFrame, recorded: pd.DataFrame) -> Iterator[Finding]:
        """Yield candidates of which something else is decided, or of which signal and decision differ."""
        vectors = self._vectors(live)
        now = self.court.judge(live, vectors)
        for at, changes in _changes(live, recorded, now).items():
            one = slice(at, at + 1)
            mine, said, told = (frame.iloc[one].reset_index(drop=True) for frame in (live, recorded, now))
            yield finding_of("decision", live.iloc[at], changes, *self._cause(mine, said, told, vectors[one]))

    def _vectors(self, live: pd.DataFrame) -> FloatArray:
        """Return the recorded vectors; nothing is known where there is none."""
        ids, stored = self.series.reader.features(self.bench.features.id, live["id"].tolist())
        vectors = np.full((len(live), len(self.bench.features.columns)), np.nan)
        is_there = live["id"].isin(ids).to_numpy()
        vectors[is_there] = stored[np.searchsorted(ids, live["id"].to_numpy()[is_there])]
        return vectors

    def _cause(
        self, one: pd.DataFrame, recorded: pd.DataFrame, now: pd.DataFrame, vector: FloatArray
    ) -> tuple[str, str]:
        """Judge one candidate again under what may have been, until the record comes out."""
        if self.described_as and self.described_as != self.bench.features.id:
            return CONFIGURATION, f"features {self.described_as}, now {self.bench.features.id}"
        opinions = self.court.opinions(one, vector) if self.terms.meta_enabled else nobody(1)
        version, moment_ms = str(opinions["model"].iloc[0]), int(one["decided_ms"].iloc[0])
        said = recorded.iloc[0]
        was_readable, is_readable = said["reason"] != MODEL_UNREADABLE, not opinions["unreadable"].iloc[0]
        rules, evidence, alarm = self.court.terms_at(moment_ms)

        def told(by: pd.DataFrame, rules: GateRules, evidence: Evidence) -> pd.DataFrame:
            decisions = judge(one, by, rules, evidence, alarm, self.terms.meta_enabled)
            if self.bounds and self.described_as:
                return refuse(decisions, first_out_of_range(vector, self.bench.features.columns, self.bounds))
            return decisions

        def comes_out(by: pd.DataFrame, rules: GateRules, evidence: Evidence) -> bool:
            return not _changes(one, recorded, told(by, rules, evidence))

        if row_changes(now, told(opinions, rules, evidence), _NOT_JUDGED):
            return UNEXPLAINED, ""  # the court itself says something else than what it rests on
        if said["model_version"] == version and was_readable and not is_readable and self._copied(one, said):
            return MODEL, self.bench.fault(version) or version
        if not was_readable and comes_out(nobody(1, unreadable=version), rules, evidence):
            return MODEL, f"{version} could not be read then"
        for since_ms in self.series.reader.thresholds()["since_ms"].tolist():
            other, shown, _ = self.court.terms_at(since_ms)
            if comes_out(opinions, other, shown):
                return CONFIGURATION, f"thresholds of {format_ms(since_ms)}"
        for shown in (evidence, Evidence()):
            if comes_out(opinions, self.bench.gating, shown):
                return CONFIGURATION, "thresholds as configured now"
        return UNEXPLAINED, ""

    def _copied(self, one: pd.DataFrame, said: pd.Series) -> bool:
        """Whether the signal says what its recorded decision says: where a model is gone nothing else can be asked."""
        return not row_changes(one[_SHARED], said[_SHARED].to_frame().T.astype(one[_SHARED].dtypes.to_dict()), ())


_SHARED = [name for name in JUDGED if name != "in_sample"]


def _changes(live: pd.DataFrame, recorded: pd.DataFrame, now: pd.DataFrame) -> dict[int, list[Change]]:
    """Return what is other in decisions, and what signals say of them, by position."""
    found = row_changes(recorded, now, _NOT_JUDGED)
    shown = decided(live, now).assign(in_sample=0)
    for at, changes in row_changes(live[list(JUDGED)], shown, ()).items():
        found.setdefault(at, []).extend((f"signal's {name}", one, other) for name, one, other in changes)
    return dict(sorted(found.items()))
