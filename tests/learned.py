"""Finished candidates of a label world in a real database, for the jobs that learn from them; no candle is behind them.

Every candidate is of one symbol and timeframe of the configuration, its plan and outcome are the label world's, and
its features are the geometry, one column that knows the planted edge, and noise. Everything follows from the seed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import app
from core.adapters.markets.offline import OfflineMarket
from core.clock import DAY_MS, MINUTE_MS
from core.jobs._book import policy_id
from core.jobs._desk import Desk
from core.jobs._learning import plans_of
from core.schema import Candles, FloatArray, Instrument
from tests.engine import merged, write_config
from tests.factories import signal_rows, trade_rows
from tests.label_worlds import EDGE_COLUMN, GEOMETRY_COLUMNS, START_MS, WEEK_MS, LabelWorld, label_world

__all__ = ["END_MS", "EXCHANGE", "TOLD_BY", "WEEKS", "copied", "learnable", "on_desk", "put_world"]

EXCHANGE = "synthetic"
WEEKS = 24
END_MS = START_MS + WEEKS * WEEK_MS + DAY_MS
TOLD_BY = "mom_rsi"
"""The feature that knows the edge."""


def learnable(
    folder: Path, n: int = 500, edge: float = 1.5, change: dict[str, Any] | None = None, seed: int = 3
) -> Path:
    """Write a configuration and a database with `n` finished candidates into a folder; return the configuration."""
    plain = {
        "exchange": {"id": EXCHANGE},
        "symbols": ["BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"],
        "timeframes": ["15m", "1h", "4h"],
        "app": {"log_level": "ERROR"},
        "notify": {"console": False},
        "models": {
            "meta": {
                "model_path": str(folder / "models"),
                "estimator": "logistic",
                "min_signals_for_training": 100,
                "estimators": {"xgboost": {"trees": 8, "learning_rate": 0.3, "min_child_weight": 5.0}},
            }
        },
    }
    config = write_config(folder, merged(plain, change or {}))
    with on_desk(config) as desk:
        put_world(desk, label_world(n, seed=seed, edge=edge, columns=6, weeks=WEEKS), seed)
        candle = Candles.of([END_MS - MINUTE_MS], [1.0], [1.0], [1.0], [1.0], [1.0])  # the tape was played to here
        desk.writer.put_candles(EXCHANGE, "BTC/USDT:USDT", "1m", candle, END_MS)
        desk.writer.set_frontier(EXCHANGE, "BTC/USDT:USDT", "1m", END_MS)
    return config


@contextmanager
def on_desk(config: Path, now_ms: int = END_MS) -> Iterator[Desk]:
    """Open a desk on it, at a time."""
    source = app.config_source(config, None, {})
    desk = app.open_desk(source, logging.getLogger("test"), OfflineMarket(EXCHANGE, True, now_ms))
    try:
        yield desk
    finally:
        desk.writer.close()


def put_world(desk: Desk, world: LabelWorld, seed: int = 3) -> None:
    """Store the candidates of a world with their features and trades."""
    signals, trades = _signals(desk, world.rows), _trades(desk, world.rows)
    assert desk.features is not None
    with desk.writer.transaction():
        desk.writer.put_instruments([Instrument(EXCHANGE, symbol, 0.1, 0.0001, 5.0) for symbol in desk.config.symbols])
        ids = desk.writer.put_signals(signals)["id"].to_numpy()
        desk.writer.put_feature_set(desk.features.id, desk.features.columns)
        desk.writer.put_features(desk.features.id, ids, _vectors(desk, world, seed))
        desk.writer.put_trades(trades.assign(signal_id=ids))


def _signals(desk: Desk, rows: pd.DataFrame) -> pd.DataFrame:
    side = np.where(rows["direction"] == "long", 1.0, -1.0)
    risk = side * 100.0 * rows["stop_frac"]
    plan = {"sl": 100.0 - risk, "tp1": 100.0 + risk * rows["rr1"], "tp2": 100.0 + risk * rows["rr2"]}
    names = ["symbol", "timeframe", "direction", "regime_trend", "regime_vol", "decided_ms"]
    frame = rows[names].assign(**plan, exchange=EXCHANGE, plan_hash=plans_of(desk)[0], origin="retro")
    frame["key"] = [f"learned-{number}" for number in rows["signal_id"]]
    return signal_rows([{str(name): value for name, value in row.items()} for row in frame.to_dict("records")])


def _trades(desk: Desk, rows: pd.DataFrame) -> pd.DataFrame:
    pnl = 100.0 * rows["net_r"] * rows["stop_frac"]
    told = {
        "signal_id": rows["signal_id"],
        "exit_policy": policy_id(desk),
        "opened_ms": rows["opened_ms"],
        "closed_ms": rows["known_ms"] - MINUTE_MS,
        "known_ms": rows["known_ms"],
        "exit_reason": np.where(rows["won"] > 0, "TP", "SL"),
        "pnl_pct": np.where(rows["won"] > 0, np.maximum(pnl, 1e-6), np.minimum(pnl, -1e-6)),
        "r_multiple": rows["net_r"],
        "funding_pct": rows["funding_pct"],
    }
    frame = pd.DataFrame(told)
    return trade_rows([{str(name): value for name, value in row.items()} for row in frame.to_dict("records")])


def _vectors(desk: Desk, world: LabelWorld, seed: int) -> FloatArray:
    assert desk.features is not None
    columns = desk.features.columns
    vectors = np.random.default_rng(seed).normal(size=(len(world.rows), len(columns)))
    for place, name in enumerate(GEOMETRY_COLUMNS):
        vectors[:, columns.index(name)] = world.vectors[:, place]
    vectors[:, columns.index(TOLD_BY)] = world.vectors[:, world.columns.index(EDGE_COLUMN)]
    return vectors


def copied(config: Path, folder: Path) -> Path:
    """Copy a configuration with its database and models into another folder; return the copy."""
    shutil.copytree(config.parent, folder, dirs_exist_ok=True)
    copy = folder / config.name
    copy.write_text(copy.read_text(encoding="utf-8").replace(str(config.parent), str(folder)), encoding="utf-8")
    return copy
