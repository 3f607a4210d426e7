"""A model in force, and rows to learn from: made beforehand, and not timed.

The law: candidates are found, learned from and put in force by the functions that do so in the engine; only rows to
learn from are made up, as many as a benchmark wants.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks import _data
from benchmarks._stage import Stage
from core.clock import MINUTE_MS, parse_time
from core.features import FeatureSet
from core.gate import Model
from core.jobs import retro as retro_job
from core.jobs._book import policy_id
from core.jobs._learning import dataset_of, estimator_of, features_of, plans_of, publish
from core.schema import FloatArray, frame_of
from core.schema.learning import TRAINING_ROWS
from core.training.card import golden_rows
from core.training.dataset import Dataset
from core.training.fit import FitRules, fit_model

__all__ = ["Learned", "learned", "learned_from", "made_rows", "put_in_force"]

MONDAY_MS = parse_time("2023-01-02")
WEEKS = 104
SERIES = (("15m", 0.6, 0.006, 150.0), ("1h", 0.3, 0.012, 600.0), ("4h", 0.1, 0.025, 2_400.0))
"""Timeframe, share of the rows, usual stop distance as a fraction of the entry, minutes a trade is held."""


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A model, and where it came from.

    Parameters
    ----------
    config : Path
        A configuration beside a database with the candidates it learned from, the model in force.
    model : Model
    vectors : float64 array, shape (n, k)
        The features it learned from.
    candidates : int
        All on record there, finished or not.
    """

    config: Path
    model: Model
    vectors: FloatArray
    candidates: int


@cache
def learned(stage: Stage) -> tuple[Learned, Path]:
    """Return what was learned from a stage's candles, and a configuration beside a database of candles alone, the
    model in force."""
    made = learned_from(stage.whole, stage.folder / "learned")
    return made, put_in_force(made, _data.with_models(stage.whole, stage.folder / "in-force"))


def learned_from(config: Path, folder: Path, now_ms: int | None = None) -> Learned:
    """Fill in the past of a copy, models on, learn from it, and put the model in force there from the beginning.

    Parameters
    ----------
    config : Path
        Of the database to copy.
    folder : Path
    now_ms : int, optional
        Where the stored candles end; without it, all are looked at.
    """
    copy = _data.with_models(config, folder)
    desk = _data.open_desk(copy)
    try:
        end_ms = desk.market.now_ms() if now_ms is None else now_ms
        request = retro_job.RetroRequest(0, end_ms, list(desk.config.symbols), list(desk.config.timeframes))
        asyncio.run(retro_job.run(desk, end_ms, request))
        dataset = dataset_of(desk, end_ms)
        fitted = fit_model(dataset, estimator_of(desk), FitRules(min_n_eff=1.0))
        model = fitted.model(
            "",
            required=features_of(desk).required,
            feature_set=features_of(desk).id,
            plan_hash=",".join(plans_of(desk)),
            exit_policy=policy_id(desk),
            skill=True,
        )
        candidates = len(desk.reader.signals(exchange=desk.exchange, columns=["id"]))
    finally:
        desk.writer.close()
    made = Learned(copy, model, dataset.vectors, candidates)
    put_in_force(made, copy)
    return made


def put_in_force(made: Learned, config: Path) -> Path:
    """Record a model beside another database and put it in force there from the beginning; return `config`."""
    desk = _data.open_desk(config)
    try:
        card: dict[str, object] = {"golden": golden_rows(made.model, made.vectors)}
        version, _ = publish(desk, made.model, estimator_of(desk), card, 0)
        desk.writer.crown(version, 0, "measured")
        desk.writer.checkpoint()
    finally:
        desk.writer.close()
    return config


def made_rows(n: int, features: FeatureSet, seed: int = 7) -> Dataset:
    """Return `n` finished candidates of three symbols over two years, with all features and a little to be learned.

    Parameters
    ----------
    n : int
        How many.
    features : FeatureSet
        The first column beyond the geometry moves the chance of winning; the others know nothing.
    seed : int
    """
    rng = np.random.default_rng(seed)
    which = rng.choice(len(SERIES), n, p=[share for _, share, *_ in SERIES])
    usual_stop, held_min = (np.array([one[place] for one in SERIES], dtype=float)[which] for place in (2, 3))
    rr1, sl_atr, signal = rng.uniform(0.8, 2.5, n), rng.uniform(0.8, 2.5, n), rng.normal(size=n)
    rr2 = rr1 + rng.uniform(0.5, 1.5, n)
    stop_frac = usual_stop * np.exp(rng.normal(0.0, 0.25, n))
    cost_r = np.minimum(0.001 / stop_frac, 0.3)
    won = rng.random(n) < 1.0 / (1.0 + rr1 * np.exp(-0.4 * signal))
    gross_r = np.where(won, 0.5 * (rr1 + rr2 * (rng.random(n) < rr1 / rr2)), -1.0)
    decided = np.sort(MONDAY_MS + rng.integers(0, WEEKS * 7 * 1_440, n) * MINUTE_MS)
    opened = decided + rng.integers(1, 30, n) * MINUTE_MS
    known = opened + (1 + rng.exponential(held_min)).astype(np.int64) * MINUTE_MS
    rows = {
        "signal_id": np.arange(1, n + 1),
        "symbol": rng.choice(["BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"], n),
        "timeframe": np.array([name for name, *_ in SERIES])[which],
        "setup": "fibo_avwap",
        "direction": rng.choice(["long", "short"], n),
        "regime_trend": rng.choice(["trend", "range"], n),
        "regime_vol": rng.choice(["low", "normal", "high"], n),
        "decided_ms": decided,
        "opened_ms": opened,
        "known_ms": known,
        "stop_frac": stop_frac,
        "rr1": rr1,
        "rr2": rr2,
        "cost_r": cost_r,
        "won": won.astype(float),
        "net_r": gross_r - cost_r,
        "gross_r": gross_r,
        "funding_pct": 0.0,
    }
    told = {"geo_rr1": rr1, "geo_rr2": rr2, "geo_cost_r": cost_r, "geo_sl_atr": sl_atr}
    return Dataset.of(frame_of(rows, n, TRAINING_ROWS), _vectors(rng, features, told, signal), features.columns)


def _vectors(
    rng: np.random.Generator, features: FeatureSet, told: dict[str, FloatArray], signal: FloatArray
) -> FloatArray:
    columns: Sequence[str] = features.columns
    vectors = rng.normal(size=(len(signal), len(columns)))
    vectors[:, next(place for place, name in enumerate(columns) if not name.startswith("geo_"))] = signal
    optional = [place for place, name in enumerate(columns) if name not in features.required]
    vectors[:, optional] = np.where(rng.random((len(signal), len(optional))) < 0.01, np.nan, vectors[:, optional])
    for name, values in told.items():
        vectors[:, columns.index(name)] = values
    return vectors
