"""What the learning jobs read: finished candidates with their features, and what was said of them out of sample.

The law: a job asks for what was known at its time and gets nothing later; plans, exits and features of other
parameters are other data.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd

from core.errors import ConfigError, TraderError
from core.estimators import build_estimator
from core.features import FeatureSet
from core.gate import Model
from core.jobs._candidates import scan_rules
from core.jobs._desk import Desk
from core.jobs._gating import load_model, newest_champion
from core.pipeline import plan_hash
from core.ports import Estimator
from core.store import artefacts
from core.training.card import card_of, model_to_files
from core.training.dataset import Candidates, Dataset, plan_rows, training_rows
from core.training.fit import FitRules

__all__ = [
    "can_judge",
    "candidates_of",
    "champion_of",
    "dataset_of",
    "estimator_of",
    "features_of",
    "fit_rules",
    "ledger_of",
    "plans_of",
    "publish",
    "require_alike",
    "tuning_rows",
]

MODELS_KEPT = 8
"""Newest versions whose files stay, beside those that were ever in force."""


def features_of(desk: Desk) -> FeatureSet:
    """Return what candidates are described by.

    Raises
    ------
    ConfigError
        Models are switched off.
    """
    if desk.features is None:
        raise ConfigError("models.meta.enabled is false: candidates have no features, and nothing can be learned")
    return desk.features


def plans_of(desk: Desk) -> list[str]:
    """Return the plan_hash of each setup in force, sorted."""
    rules = scan_rules(desk.config, desk.costs)
    return sorted(plan_hash(setup, rules) for setup in desk.setups)


def fit_rules(desk: Desk) -> FitRules:
    """Return how models are fitted."""
    meta = desk.config.models.meta
    method = meta.calibration.method if meta.calibration.enabled else "none"
    return FitRules(min_n_eff=float(meta.min_signals_for_training), calibration=method)


def estimator_of(desk: Desk) -> Estimator:
    """Return the estimator named in `models.meta.estimator`."""
    return build_estimator(desk.config, desk.config.models.meta.estimator)


def ledger_of(desk: Desk) -> str:
    """Return the name of the ledger that predictions made under the parameters in force belong to."""
    estimator = estimator_of(desk)
    named = {
        "exchange": desk.exchange,
        "plans": plans_of(desk),
        "exits": desk.exits,
        "features": features_of(desk).id,
        "estimator": [estimator.name, estimator.params()],
        "calibration": fit_rules(desk).calibration,
    }
    return f"walk-{hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:10]}"


def dataset_of(desk: Desk, until_ms: int) -> Dataset:
    """Return all finished candidates whose outcome was known at a time.

    Raises
    ------
    TraderError
        There are none with features yet.
    ModelError
        Their features cannot be learned from.
    """
    features = features_of(desk)
    signals, trades, _, vectors = desk.reader.training_frames(
        desk.exchange, plans_of(desk), desk.exits, features.id, until_ms
    )
    if signals.empty:
        raise TraderError(
            "training rows: no finished candidate has features of this version under the plans, exits and costs "
            "in force; fill them in with `python retro_scan.py`"
        )
    rows = training_rows(signals, trades, desk.costs)
    at = pd.Index(signals["id"]).get_indexer(pd.Index(rows["signal_id"]))
    return Dataset.of(rows, vectors[at], features.columns, features.required)


def candidates_of(desk: Desk, until_ms: int) -> Candidates:
    """Return all candidates decided up to a time that can be judged: those with all required features."""
    features = features_of(desk)
    parts = [
        desk.reader.signals(exchange=desk.exchange, plan_hash=plan, end_ms=until_ms + 1) for plan in plans_of(desk)
    ]
    signals = pd.concat(parts, ignore_index=True)
    ids, vectors = desk.reader.features(features.id, signals["id"].tolist())
    needed = vectors[:, [features.columns.index(name) for name in features.required]]
    known = np.isfinite(needed).all(axis=1)
    at = pd.Index(signals["id"]).get_indexer(pd.Index(ids[known]))
    return Candidates(plan_rows(signals.iloc[at], desk.costs), vectors[known])


def tuning_rows(desk: Desk, dataset: Dataset, ledger: str) -> pd.DataFrame:
    """Return out-of-sample predictions of finished candidates beside their outcomes, columns `TUNING_ROWS` and more."""
    told = desk.reader.predictions(ledger).set_index("signal_id")
    rows = dataset.rows.assign(uniqueness=dataset.weights)
    rows = rows[rows["signal_id"].isin(told.index)]
    said = told.loc[rows["signal_id"], ["model", "train_max_t1", "p_geo", "p_raw", "p", "ev_r"]]
    return rows.reset_index(drop=True).join(said.reset_index(drop=True))


def can_judge(desk: Desk, model: Model) -> bool:
    """Say whether a model knows the features, the exits and any of the plans in force."""
    plans = set(plans_of(desk)) & set(model.plan_hash.split(","))
    return (model.feature_set, model.exit_policy) == (features_of(desk).id, desk.exits) and bool(plans)


def require_alike(desk: Desk, model: Model) -> None:
    """Refuse a model that the ledger of the parameters in force does not speak for.

    Raises
    ------
    TraderError
        It learned with another estimator, or of other features, plans or exits.
    """
    estimator, card = estimator_of(desk), card_of(desk.reader.model_card(model.version) or "{}")
    named = card.get("estimator", {})
    differs = {
        "features": model.feature_set != features_of(desk).id,
        "plans": model.plan_hash != ",".join(plans_of(desk)),
        "exits or costs": model.exit_policy != desk.exits,
        "estimator": [named.get("name"), named.get("params")] != [estimator.name, estimator.params()],
    }
    other = next((what for what, is_other in differs.items() if is_other), "")
    if other:
        raise TraderError(
            f"model {model.version}: made with other {other} than those in force, which out-of-sample predictions "
            "are about; train one with `python train_meta.py`"
        )


def champion_of(desk: Desk, purpose: str) -> Model:
    """Return the newest champion, which the ledger of the parameters in force must speak for.

    Raises
    ------
    TraderError
        There is none, or it was made under other parameters.
    ModelError
        It cannot be read.
    """
    version = newest_champion(desk)
    if not version:
        raise TraderError(f"no model is in force: there is nothing to {purpose}; train one with `python train_meta.py`")
    model = load_model(desk, version)
    require_alike(desk, model)
    return model


def publish(desk: Desk, model: Model, estimator: Estimator, card: dict[str, object], now_ms: int) -> tuple[str, bool]:
    """Write a model's files and record it as a candidate.

    Returns
    -------
    version : str
    is_new : bool
        False where the same model is on record and was judged already; one whose judgement never came is new.
    """
    version, full, files = model_to_files(model, estimator, card)
    known = desk.reader.models()
    states = known.loc[known["version"] == version, "state"].tolist()
    if states:
        return version, states == ["candidate"]
    folder = desk.config.models.meta.model_path
    sha256 = artefacts.publish(folder, version, files)
    desk.writer.put_model(
        version,
        json.dumps(full, sort_keys=True, allow_nan=False),
        created_ms=now_ms,
        train_max_t1=model.train_max_t1,
        plan_hash=model.plan_hash,
        exit_policy=model.exit_policy,
        feature_set=model.feature_set,
        sha256=sha256,
    )
    # Who ever was in force may be asked again about its time; of the others the newest are kept to look at. What this
    # database does not know may be another's.
    kept = {version, *desk.reader.reigns()["version"], *known["version"].tolist()[-MODELS_KEPT:]}
    artefacts.prune(folder, kept | (set(artefacts.versions(folder)) - set(known["version"])))
    return version, True
