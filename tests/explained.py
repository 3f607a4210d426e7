"""A database with a model in force, whose candidates the engine found, described, judged and played; small and quick.

One symbol on 15m. The model's estimator has learned from chance, and its words (calibrator, payoff, evidence) are made
up, so that every verdict appears; whatever is told of them must follow from them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import app
from core.adapters.markets.offline import OfflineMarket
from core.clock import DAY_MS, MINUTE_MS, timeframe_ms
from core.estimators.logistic import Logistic
from core.execution import book
from core.execution.funding import no_marks
from core.execution.identity import exit_policy_id, exit_policy_params
from core.execution.runs import Run
from core.features import Outcomes
from core.gate import Calibrator, Evidence, Model, Payoff, Slice
from core.jobs._candidates import scan_rules
from core.jobs._desk import Desk
from core.jobs._gating import Court, gating_text
from core.jobs._learning import plans_of, publish
from core.pipeline import Surroundings, describe, scan, simulate
from core.ports import Sample
from core.schema import DECISIONS, SIGNALS, Candles, Instrument
from core.training.card import golden_rows
from tests.engine import merged, write_config
from tests.factories import START_MS, resampled, walk

__all__ = [
    "BTC",
    "DAYS",
    "END_MS",
    "ETH",
    "EXCHANGE",
    "TIMEFRAME",
    "World",
    "crown",
    "found_on",
    "open_world",
    "write_world",
]

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
EXCHANGE, TIMEFRAME, DAYS = "synthetic", "15m", 24
END_MS = START_MS + DAYS * DAY_MS
STEP_MS = timeframe_ms(TIMEFRAME)
CROWNED_MS = START_MS + 12 * DAY_MS
LIVE_MS = START_MS + 14 * DAY_MS
NOBODY = Surroundings(Candles.empty(), np.empty((0, 2)))
NO_OUTCOMES = Outcomes(np.empty(0, dtype=np.int64), np.empty(0))


@dataclass(frozen=True)
class World:
    """Where it is, and what is in it."""

    config: Path
    database: Path
    version: str


@contextmanager
def open_world(config: Path, now_ms: int = END_MS, synthetic: bool = True) -> Iterator[Desk]:
    """Open a desk on a world, at a time."""
    source = app.config_source(config, None, {})
    desk = app.open_desk(source, logging.getLogger("test"), OfflineMarket(EXCHANGE, synthetic, now_ms))
    try:
        yield desk
    finally:
        desk.writer.close()


def write_world(folder: Path, change: dict[str, Any] | None = None) -> World:
    """Write the world into a folder."""
    plain = {
        "exchange": {"id": EXCHANGE},
        "symbols": [BTC, ETH],
        "timeframes": [TIMEFRAME],
        "app": {"log_level": "ERROR"},
        "models": {"meta": {"model_path": str(folder / "models")}},
    }
    config = write_config(folder, merged(plain, change or {}))
    minutes = walk(DAYS, seed=11)
    with open_world(config) as desk:
        _put_candles(desk, minutes)
        signals, vectors = found_on(desk, resampled(minutes, TIMEFRAME))
        version = crown(desk, vectors)
        signals, decisions = _judged(desk, signals, vectors)
        _store(desk, signals, decisions, vectors, minutes)
        return World(config, Path(desk.config.app.db_path), version)


def _put_candles(desk: Desk, minutes: Candles) -> None:
    with desk.writer.transaction():
        desk.writer.put_instruments([Instrument(EXCHANGE, BTC, tick=0.1, lot=0.0001, min_notional=5.0)])
        for timeframe, candles in (("1m", minutes), (TIMEFRAME, resampled(minutes, TIMEFRAME))):
            desk.writer.put_candles(EXCHANGE, BTC, timeframe, candles, END_MS)
            desk.writer.set_frontier(EXCHANGE, BTC, timeframe, END_MS)
        desk.writer.set_scanned(EXCHANGE, BTC, TIMEFRAME, END_MS)


def found_on(desk: Desk, candles: Candles) -> tuple[pd.DataFrame, np.ndarray]:
    rules = scan_rules(desk.config, desk.costs)
    instrument = desk.reader.instruments(EXCHANGE)[BTC]
    signals = scan(candles, instrument, TIMEFRAME, desk.setups[0], rules, 900)
    assert desk.features is not None
    around = Surroundings(candles, NOBODY.funding)
    return signals, describe(signals, candles, TIMEFRAME, desk.features, desk.costs, around, NO_OUTCOMES)


def crown(desk: Desk, vectors: np.ndarray, at_ms: int = CROWNED_MS) -> str:
    """Publish a model that has learned from chance, and put it and its thresholds in force."""
    assert desk.features is not None
    rng = np.random.default_rng(5)
    n = len(vectors)
    sample = Sample(
        vectors, desk.features.columns, (rng.random(n) < 0.42).astype(float), rng.normal(0.1, 1.2, n), np.ones(n)
    )
    estimator = Logistic(l2=10.0, payoff_l2=10.0)
    model = Model(
        version="",
        estimator=estimator.fit(sample),
        calibrator=Calibrator("platt", a=0.8, b=0.05, n_eff=300.0),
        payoff=Payoff(0.02, 0.5, (0.5, 0.6, 0.0, -1.0), (-1.0, 0.0, 0.0, -1.0), {f"{TIMEFRAME}|long": 0.01}),
        columns=desk.features.columns,
        required=desk.features.required,
        feature_set=desk.features.id,
        plan_hash=",".join(plans_of(desk)),
        exit_policy=exit_policy_id(desk.exit_policy, desk.rules, desk.costs),
        train_max_t1=START_MS,
        skill=True,
    )
    card = {"n": n, "n_eff": float(n), "golden": golden_rows(model, vectors)}
    version, _ = publish(desk, model, estimator, card, at_ms)
    desk.writer.crown(version, at_ms, "the first")
    evidence = json.dumps(_evidence().to_json())
    desk.writer.put_thresholds(at_ms, gating_text(desk.config.models.meta.gating), evidence, "tune", "a test")
    return version


def _evidence() -> Evidence:
    numbers = {"n": 412, "n_eff": 300.0, "weeks": 40, "win_rate": 0.48, "lower_win": 0.45, "expires_ms": END_MS}
    shown = {**numbers, "mean_r": 0.14, "lower_r": 0.03, "threshold": 0.0, "certified": True, "speaks": True}
    slices = [Slice(name=name, **shown) for name in (TIMEFRAME, "vol_low", "vol_normal")]
    poor = {**shown, "mean_r": -0.11, "lower_r": -0.25, "certified": False, "why": "mean not above 0"}
    return Evidence("ev", CROWNED_MS, {one.name: one for one in (*slices, Slice(name="vol_high", **poor))})


def _judged(desk: Desk, signals: pd.DataFrame, vectors: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    decisions = Court(desk).judge(signals, vectors)
    shared = {name: decisions[name].to_numpy() for name in DECISIONS if name in SIGNALS}
    origin = np.where(signals["decided_ms"] >= LIVE_MS, "live", "retro")
    return signals.assign(**shared, origin=origin), decisions


def _store(desk: Desk, signals: pd.DataFrame, decisions: pd.DataFrame, vectors: np.ndarray, minutes: Candles) -> None:
    assert desk.features is not None
    policy = exit_policy_id(desk.exit_policy, desk.rules, desk.costs)
    with desk.writer.transaction():
        ids = desk.writer.put_signals(signals)["id"].to_numpy()
        signals = signals.assign(id=ids)
        desk.writer.put_decisions(decisions.assign(signal_id=ids))
        desk.writer.put_feature_set(desk.features.id, desk.features.columns)
        desk.writer.put_features(desk.features.id, ids, vectors)
        desk.writer.put_exit_policy(
            policy, desk.exit_policy.name, exit_policy_params(desk.exit_policy, desk.rules, desk.costs)
        )
        pending = book.new_trades(signals, policy, desk.rules)
        run = Run(minutes, END_MS, no_marks())
        tick = np.full(len(signals), 0.1)
        trades, events = simulate(pending, signals, desk.exit_policy, [run], 0, tick, desk.rules, desk.costs)
        passed = np.flatnonzero(signals["verdict"].isin(["PASS", "UNGATED"]))
        taken = np.zeros(len(trades), dtype=np.int64)
        blocked = np.full(len(trades), "", dtype=object)
        taken[passed[::2]], blocked[passed[1::2]] = 1, "MAX_OPEN"
        desk.writer.put_trades(trades.assign(taken=taken, blocked_by=blocked))
        desk.writer.put_events(events)
        desk.writer.note_live(EXCHANGE, BTC, TIMEFRAME, LIVE_MS, "{}")
    assert int(minutes.ts[-1]) + MINUTE_MS == END_MS
