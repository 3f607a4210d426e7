"""Candle worlds for the meta-model: from generated minutes to verdicts, in memory, by the engine's own stages.

A world of known truth goes the way of every market: minutes, longer candles, candidates, their trades on minutes,
their features, a walk forward through time, weekly tunings. No database and no job is in between, and the parameters
are those of the shipped configuration. Everything follows from the arguments.

    made = make(Place("edge", seed=1))       # candidates, trades, vectors
    told = walked(Place("edge", seed=1))     # predictions made before their outcomes, beside them
    governed(told)                           # decisions as an engine would have made them, tuned every week
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from core import app
from core.adapters.markets.synthetic import instrument_of, make_world
from core.clock import DAY_MS, MINUTE_MS, timeframe_ms
from core.config import Config, load_config
from core.estimators.xgboost import XGBoost
from core.execution.book import Run, new_trades
from core.execution.costs import CostModel
from core.execution.funding import funding_marks, no_marks
from core.execution.rules import ExecutionRules
from core.features import Outcomes, feature_set
from core.gate import Evidence, GateRules
from core.indicators.resample import resample
from core.pipeline import ScanRules, Surroundings, describe, judge, scan, simulate
from core.ports import ExitPolicy, Setup
from core.risk.sizing import RiskRules
from core.schema import OPINIONS, Candles, FloatArray, Instrument, frame_of, perpetual
from core.training.dataset import Dataset, training_rows
from core.training.fit import FitRules
from core.training.promote import Skill, skill
from core.training.splits import BLOCK_MS, WEEK_MS
from core.training.tune import TuneRules, Tuning, tune
from core.training.walk import walk_forward

__all__ = [
    "NO_FUNDING",
    "SYMBOLS",
    "Made",
    "Place",
    "Terms",
    "Walked",
    "candidates_in",
    "governed",
    "in_parallel",
    "longer_of",
    "make",
    "outcomes_of",
    "shown",
    "terms",
    "tuned",
    "walked",
]

ROOT = Path(__file__).resolve().parent.parent
SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")
TIMEFRAMES = ("15m", "1h", "4h")
START_MS = 1_640_563_200_000  # Monday 2021-12-27
NO_FUNDING = np.empty((0, 2))
_Argument, _Result = TypeVar("_Argument"), TypeVar("_Result")


class Place(NamedTuple):
    """Which world, and how much of it."""

    world: str
    seed: int
    days: int = 547
    symbols: int = 3
    p_star: float = 0.8
    block_ms: int = BLOCK_MS  # how often the model is made anew when walking forward


class Terms(NamedTuple):
    """What candidates are found, played and judged by."""

    setup: Setup
    rules: ScanRules
    exits: ExitPolicy
    orders: ExecutionRules
    costs: CostModel
    fit: FitRules


@cache
def terms(free: bool = False) -> Terms:
    """Return the terms of the shipped configuration, with its costs or with none at all."""
    config: Config = load_config(ROOT / "config.yaml", {})
    costs = CostModel(0.0, 0.0, 0.0, funding_rate_pct=0.0) if free else app.build_costs(config)
    (setup,) = app.build_setups(config, costs)
    meta = config.models.meta
    fit = FitRules(min_n_eff=float(meta.min_signals_for_training), calibration=meta.calibration.method)
    sizing = RiskRules(*(getattr(config.risk, field.name) for field in fields(RiskRules)))
    rules = ScanRules(costs, sizing, config.signals.validity_candles)
    return Terms(setup, rules, app.build_exit_policy(config), app.build_rules(config), costs, fit)


@dataclass(frozen=True, eq=False)
class Made:
    """The candidates of a world, played to the end of its candles.

    Parameters
    ----------
    signals, trades : pandas.DataFrame
        Columns `schema.SIGNALS` and `schema.TRADES`, row by row, in order of decision.
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`.
    vectors : float64 array, shape (n, k)
        Features, row by row; without columns where none were asked for.
    seconds : dict of str to float
        What each stage took.
    """

    signals: pd.DataFrame
    trades: pd.DataFrame
    events: pd.DataFrame
    vectors: FloatArray
    seconds: dict[str, float]

    def dataset(self) -> Dataset:
        """Return the filled and finished candidates."""
        rows, features = training_rows(self.signals, self.trades, terms().costs), feature_set()
        at = pd.Index(self.signals["id"]).get_indexer(pd.Index(rows["signal_id"]))
        return Dataset.of(rows, self.vectors[at], features.columns, features.required)


@lru_cache(maxsize=8)
def make(place: Place, free: bool = False, described: bool = True) -> Made:
    """Make a world's candidates with their trades and, where asked for, their features."""
    at, clock = terms(free), _Clock()
    signals, trades, events, vectors = [], [], [], []
    benchmark: dict[str, Candles] = {}
    for symbol in SYMBOLS[: place.symbols]:  # the first one is what the market follows
        minutes = make_world(place.world, symbol, START_MS, place.days, place.seed, place.p_star).candles
        longer = {name: longer_of(minutes, name) for name in TIMEFRAMES}
        benchmark = benchmark or longer
        clock.lap("generate")
        for timeframe, candles in longer.items():
            found = candidates_in(candles, instrument_of(symbol), timeframe, at)
            found["id"] = sum(map(len, signals)) + 1 + np.arange(len(found))
            clock.lap("scan")
            played, happened = _played(found, minutes, instrument_of(symbol), at)
            clock.lap("simulate")
            if described:
                around = Surroundings(benchmark[timeframe], NO_FUNDING)
                outcomes = outcomes_of(played)
                vectors.append(describe(found, candles, timeframe, feature_set(), at.costs, around, outcomes))
                clock.lap("describe")
            signals.append(found)
            trades.append(played)
            events.append(happened)
    table = np.concatenate(vectors) if described else np.empty((sum(map(len, signals)), 0))
    both = [pd.concat(frames, ignore_index=True) for frames in (signals, trades)]
    order = np.lexsort((both[0]["id"].to_numpy(), both[0]["decided_ms"].to_numpy()))
    ordered = [frame.iloc[order].reset_index(drop=True) for frame in both]
    return Made(ordered[0], ordered[1], pd.concat(events, ignore_index=True), table[order], clock.seconds)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def longer_of(minutes: Candles, timeframe: str) -> Candles:
    """Return the candles of a timeframe made of minutes that begin on its grid."""
    return resample(minutes, timeframe_ms(timeframe), int(minutes.ts[0]), int(minutes.ts[-1]) + MINUTE_MS)


def candidates_in(
    candles: Candles, instrument: Instrument, timeframe: str, at: Terms, first: int | None = None
) -> pd.DataFrame:
    """Return the candidates of a run of candles, from where setup and features are warm."""
    warm = max(at.setup.warmup, feature_set().warmup)
    return scan(candles, instrument, timeframe, at.setup, at.rules, warm if first is None else first)


def outcomes_of(trades: pd.DataFrame) -> Outcomes:
    """Return the results of finished trades in the order they were known."""
    closed = trades[trades["status"] == "CLOSED"].sort_values("known_ms", kind="stable")
    return Outcomes(closed["known_ms"].to_numpy(np.int64), closed["r_multiple"].to_numpy(np.float64))


def _played(
    signals: pd.DataFrame, minutes: Candles, instrument: Instrument, at: Terms
) -> tuple[pd.DataFrame, pd.DataFrame]:
    frontier_ms = int(minutes.ts[-1]) + MINUTE_MS
    marks = no_marks()
    if perpetual(instrument.symbol) and at.costs.funding_rate_pct:
        marks = funding_marks(NO_FUNDING, int(minutes.ts[0]), frontier_ms, at.costs.funding_rate_pct)
    trades = new_trades(signals, "accepted", at.orders)
    tick = np.full(len(signals), instrument.tick)
    return simulate(trades, signals, at.exits, [Run(minutes, frontier_ms, marks)], 0, tick, at.orders, at.costs)


@dataclass(frozen=True, eq=False)
class Walked:
    """What was said of a world's filled and finished candidates before their outcomes were known, oldest first.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    rows : pandas.DataFrame
        Row by row beside them: `TRAINING_ROWS`, uniqueness, and the prediction.
    end_ms : int
        End of the candles.
    seconds : dict of str to float
        What each stage took.
    """

    signals: pd.DataFrame
    rows: pd.DataFrame
    end_ms: int
    seconds: dict[str, float]

    def floats(self, name: str) -> FloatArray:
        """Return a column of numbers."""
        return self.rows[name].to_numpy(np.float64)


@lru_cache(maxsize=4)
def walked(place: Place) -> Walked:
    """Walk forward through a world."""
    made = make(place)
    data, began = made.dataset(), perf_counter()
    told = walk_forward(data, XGBoost(), terms().fit, block_ms=place.block_ms).predictions.drop(columns=["ledger"])
    seconds = {**made.seconds, "walk": perf_counter() - began}
    rows = data.rows.assign(uniqueness=data.weights).merge(told, on="signal_id")
    at = pd.Index(made.signals["id"]).get_indexer(pd.Index(rows["signal_id"]))
    signals = made.signals.iloc[at].reset_index(drop=True)
    return Walked(signals, rows, START_MS + place.days * DAY_MS, seconds)


def shown(told: Walked, until_ms: int | None = None) -> Skill:
    """Return whether predictions with an outcome known by a time beat the plans' geometry."""
    known = told.rows if until_ms is None else told.rows[told.rows["known_ms"] <= until_ms]
    won, p, p_geo = (known[name].to_numpy(np.float64) for name in ("won", "p", "p_geo"))
    return skill(won, p, p_geo, known["decided_ms"].to_numpy(np.int64), known["known_ms"].to_numpy(np.int64))


def tuned(told: Walked, now_ms: int | None = None) -> Tuning:
    """Return what a tuning at a time, or at the end, makes of the predictions."""
    at_ms = now_ms or told.end_ms
    return tune(told.rows, at_ms, TuneRules(skill=shown(told, at_ms).shown))


def gated(told: Walked, tuning: Tuning | None = None, mode: str = "show") -> pd.DataFrame:
    """Return decisions, columns `schema.DECISIONS`, row by row, under one tuning or none."""
    names = ("p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r")
    words = {"model": told.rows["model"].array, "missing": "", "unreadable": 0}
    said = frame_of({**words, **{name: told.floats(name) for name in names}}, len(told.rows), OPINIONS)
    rules = GateRules(evidence=mode, per_pair_tf={} if tuning is None else tuning.per_pair_tf)
    evidence = Evidence() if tuning is None else tuning.evidence
    return judge(told.signals, said, rules, evidence, alarm=False, enabled=True)


def governed(told: Walked, mode: str = "show") -> pd.DataFrame:
    """Return decisions, each under the tuning of its week, which knew the outcomes known when the week began."""
    decided = told.rows["decided_ms"].to_numpy(np.int64)
    week = (decided - START_MS) // WEEK_MS
    parts = []
    for number in np.unique(week).tolist():
        where = np.flatnonzero(week == number)
        part = replace(told, signals=told.signals.iloc[where], rows=told.rows.iloc[where])
        parts.append(gated(part, tuned(told, START_MS + number * WEEK_MS), mode))
    return pd.concat(parts, ignore_index=True)


def in_parallel(
    function: Callable[[_Argument], _Result], arguments: Sequence[_Argument], what: str = ""
) -> Iterator[_Result]:
    """Yield a function's results in order; with TRADER_JOBS set in as many processes, each told on a line."""
    jobs, began = int(os.environ.get("TRADER_JOBS", "1")), perf_counter()
    if jobs < 2 or len(arguments) < 2:
        yield from map(function, arguments)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for number, result in enumerate(pool.map(function, arguments), start=1):
            print(f"  {what}: {number} of {len(arguments)}, {perf_counter() - began:.0f} s", flush=True)
            yield result
