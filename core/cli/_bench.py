"""What recorded candidates are described and judged by: the court of the jobs, without a desk.

The law: it reads; whoever asks it can have opened nothing for writing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.checks._parity_verdicts import Bench
from core.config import Bounds, Config
from core.errors import ModelError
from core.execution.costs import CostModel
from core.features import FeatureSet, feature_set
from core.jobs._gating import Court, gate_rules, load_model
from core.risk.terms import Terms
from core.store.reader import Reader

__all__ = ["bench_of"]


@dataclass(frozen=True)
class _Files:
    """What a court looks into, of one configuration."""

    config: Config
    reader: Reader
    costs: CostModel
    features: FeatureSet | None
    exits: str
    memory: dict[str, Any]
    log: logging.Logger


def bench_of(config: Config, reader: Reader, costs: CostModel) -> Bench:
    """Return what describes and judges candidates now, and at any time as was noted then.

    Parameters
    ----------
    config : Config
        Says where models are, and what was asked before anything was on record.
    reader : Reader
    costs : CostModel
    """
    features, memory, log = feature_set(), dict[str, Any](), _silent()
    courts: dict[tuple[Any, ...], Court] = {}

    def judges(terms: Terms) -> Court:
        judging = terms.judging
        filters = {} if judging is None else judging.filters
        described = judging is not None and judging.feature_set != ""
        exits = "" if judging is None else judging.exit_policy
        key = (terms.meta_enabled, described, exits, tuple(sorted(filters.items())))
        if key not in courts:
            then = _under(config, terms.meta_enabled, filters)
            courts[key] = Court(_Files(then, reader, costs, features if described else None, exits, memory, log))
        return courts[key]

    def fault(version: str) -> str:
        try:
            load_model(_Files(config, reader, costs, features, "", memory, log), version)
        except ModelError as error:
            return str(error)
        return ""

    return Bench(features, judges, fault, gate_rules(config.models.meta.gating))


def _under(config: Config, enabled: bool, filters: Mapping[str, tuple[float | None, float | None]]) -> Config:
    """Return a configuration with what was noted of another time."""
    meta = config.models.meta.model_copy(update={"enabled": enabled})
    bounds = {name: Bounds(min=least, max=most) for name, (least, most) in filters.items()}
    models = config.models.model_copy(update={"meta": meta})
    return config.model_copy(
        update={"models": models, "signals": config.signals.model_copy(update={"filters": bounds})}
    )


def _silent() -> logging.Logger:
    """Return a log that nobody reads: what cannot be read is a finding."""
    log = logging.Logger("court")
    log.addHandler(logging.NullHandler())
    return log
