"""What the page of the model reads: cards, reigns, what was said and what came, evidence, drift, vectors.

The law: a model is opened from its verified files alone, and only when its importance is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.clock import DAY_MS
from core.dashboard._source import Snapshot, policies_of
from core.errors import ModelError
from core.gate import Model
from core.results.reliability import LEDGER_ROWS, Reliability, reliability, reliability_table, told_once
from core.schema import conform
from core.store import artefacts
from core.store.reader import Mark, Reader
from core.training.card import card_of, model_from_files
from core.training.drift import Course, courses, feature_shift

__all__ = [
    "cards_of",
    "drift_of",
    "importance_of",
    "model_of",
    "reliability_of",
    "said_and_came",
    "shift_of",
    "slices_of",
    "thresholds_of",
]

_LOOKED_AT = 2_000  # newest candidates whose contributions are averaged
_LATELY_MS = 60 * DAY_MS


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def cards_of(snapshot: Snapshot) -> tuple[pd.DataFrame, dict[str, dict[str, Any]], pd.DataFrame]:
    """Return the models, each one's card without its golden rows, and the reigns."""
    reader = Reader(Path(snapshot.path))
    models = reader.models()
    cards = {}
    for version in models["version"]:
        card = card_of(reader.model_card(version) or "{}")
        cards[str(version)] = {name: value for name, value in card.items() if name != "golden"}
    return models, cards, reader.reigns()


def said_and_came(snapshot: Snapshot, exchange: str) -> pd.DataFrame:
    """Return what was said of finished candidates before their outcome, beside it: live where somebody did, else by a
    walk-forward that knew nothing later. Columns of `Reader.ledger_rows`, won, net_r and ev_r; nobody may change it."""
    policies = policies_of(snapshot, exchange)
    policy = policies[0] if policies else ""
    return _said(snapshot.path, exchange, policy, _ledger_mark(snapshot, exchange, policy))


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def _ledger_mark(snapshot: Snapshot, exchange: str, exit_policy: str) -> Mark:
    return Reader(Path(snapshot.path)).ledger_mark(exchange, exit_policy)


@st.cache_resource(ttl=3600, max_entries=2, show_spinner=False)
def _said(path: str, exchange: str, exit_policy: str, mark: Mark) -> pd.DataFrame:
    """Read it again only where the mark has changed: most minutes end no trade."""
    return told_once(Reader(Path(path)).ledger_rows(exchange, exit_policy, ledger=str(mark[0]) or None))


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def reliability_of(snapshot: Snapshot, exchange: str) -> Reliability:
    """Return how far what was said came."""
    return reliability(conform(said_and_came(snapshot, exchange), LEDGER_ROWS))


@st.cache_data(ttl=600, max_entries=8, show_spinner=False)
def slices_of(snapshot: Snapshot, exchange: str, by: str) -> pd.DataFrame:
    """Return the same by a column, such as the timeframe."""
    return reliability_table(conform(said_and_came(snapshot, exchange), LEDGER_ROWS), by)


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def thresholds_of(snapshot: Snapshot) -> pd.DataFrame:
    """Return the gating sections that were in force, the newest first."""
    return Reader(Path(snapshot.path)).thresholds(limit=60)


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def drift_of(snapshot: Snapshot, exchange: str) -> tuple[list[Course], pd.DataFrame]:
    """Return how the drift statistics of live predictions went, and the alarms on record."""
    rows = said_and_came(snapshot, exchange)
    live = rows[rows["source"] == "live"]
    end_ms = (int(live["known_ms"].max()) // DAY_MS + 1) * DAY_MS if len(live) else 0
    return courses(live, end_ms), Reader(Path(snapshot.path)).drift()


@st.cache_resource(ttl=3600, max_entries=4, show_spinner=False)
def model_of(path: str, models: str, version: str) -> Model:
    """Return a model of the registry, opened from its verified files.

    Raises
    ------
    ModelError
        It is not on record, or its files are missing or do not verify.
    """
    recorded = Reader(Path(path)).models().set_index("version")["sha256"]
    if version not in recorded.index:
        raise ModelError(f"models of a walk-forward ({version}) are not kept")
    return model_from_files(version, artefacts.load(Path(models), version, str(recorded[version])))[0]


@st.cache_data(ttl=3600, max_entries=2, show_spinner=False)
def importance_of(path: str, models: str, version: str) -> pd.DataFrame:
    """Return by feature how far it moved the log-odds, on average, over the newest candidates.

    Returns
    -------
    pandas.DataFrame
        feature, family, mean_abs; the weightiest first.

    Raises
    ------
    ModelError
        The model's files are missing or do not verify.
    """
    from core.features import feature_set

    model = model_of(path, models, version)
    _, vectors = Reader(Path(path)).features(model.feature_set)
    given = model.estimator.contributions(vectors[-_LOOKED_AT:])[:, :-1]
    families = feature_set().family_of
    told = pd.DataFrame({"feature": model.columns, "mean_abs": np.abs(given).mean(axis=0)})
    told.insert(1, "family", told["feature"].map(lambda name: families.get(name, "other")))
    return told.sort_values("mean_abs", ascending=False, ignore_index=True)


@st.cache_data(ttl=3600, max_entries=2, show_spinner=False)
def shift_of(path: str, exchange: str, feature_set_id: str, learned_until_ms: int) -> pd.DataFrame:
    """Return how far the features of the last 60 days differ from those learned from: feature, psi; most first."""
    reader = Reader(Path(path))
    heads = reader.signals(exchange=exchange, columns=["id", "decided_ms"])
    ids, vectors = reader.features(feature_set_id)
    decided = heads.set_index("id")["decided_ms"].reindex(ids).to_numpy(np.float64)
    newest = np.nanmax(decided) if len(decided) else 0.0
    learned, late = vectors[decided <= learned_until_ms], vectors[decided > newest - _LATELY_MS]
    told = pd.DataFrame({"feature": reader.feature_columns(feature_set_id), "psi": feature_shift(learned, late)})
    return told.sort_values("psi", ascending=False, ignore_index=True)
