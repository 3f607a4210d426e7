"""The one path from candles to decided, played and taken candidates.

The law: live scan, retro scan and labels call these three functions, `scan`, `simulate` and `take`, and
nothing else decides, plays or takes. They are pure: same arguments, same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import timeframe_ms
from core.execution import book
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.gate import PASSED, decide
from core.ports import ExitPolicy, Setup
from core.risk.sizing import RiskRules, size_positions
from core.schema import DECISIONS, SIGNALS, Candles, FloatArray, Instrument, conform, empty_frame

__all__ = ["ENGINE_VERSION", "Limits", "ScanRules", "plan_hash", "scan", "simulate", "take"]

ENGINE_VERSION = "1"
"""Raised when the same parameters begin to give other plans; it is part of every plan_hash."""

BELOW_MINIMUM = "MIN_NOTIONAL"


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What a scan needs beside candles and a setup.

    Parameters
    ----------
    costs : CostModel
    risk : RiskRules
    validity_candles : int
        How long an entry stays valid, in candles of the signal's timeframe.
    meta_enabled : bool
        `models.meta.enabled`.
    """

    costs: CostModel
    risk: RiskRules
    validity_candles: int
    meta_enabled: bool = True


class Limits(Protocol):
    """Risk limits, asked about one passed candidate after the other in the order of decision."""

    def refuses(self, candidate: pd.Series) -> str:
        """Return the name of the limit that refuses the candidate, or ``""``."""
        ...

    def takes(self, candidate: pd.Series) -> None:
        """Note that the candidate was taken: it holds its slot from decided_ms to known_ms."""
        ...


def plan_hash(setup: Setup, rules: ScanRules) -> str:
    """Return the identity of the parameters that fix a plan: setup, costs, validity, engine version.

    Results and datasets use one `plan_hash` at a time.
    """
    return _digest(
        json.dumps(
            {
                "setup": setup.name,
                "params": setup.params(),
                "costs": rules.costs.params(),
                "validity_candles": rules.validity_candles,
                "engine": ENGINE_VERSION,
            },
            sort_keys=True,
        ),
        12,
    )


def scan(
    candles: Candles, instrument: Instrument, timeframe: str, setup: Setup, rules: ScanRules, first: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find, size and decide the candidates of one series.

    Parameters
    ----------
    candles : Candles
        Closed candles of `timeframe`; ``setup.warmup`` of them, or all there are, before `first`.
    instrument : Instrument
        Exchange, symbol, tick, lot and minimum order.
    timeframe : str
    setup : Setup
    rules : ScanRules
    first : int
        Position of the first candle whose close is to be decided.

    Returns
    -------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS` with id 0 and origin ``""``, in order of decision, one row a candidate.
    decisions : pandas.DataFrame
        Columns `schema.DECISIONS`, row by row beside `signals`.
    """
    found = setup.find(candles, instrument, timeframe, first)
    if found.empty:
        return empty_frame(SIGNALS), empty_frame(DECISIONS)
    decisions = decide(len(found), rules.meta_enabled)
    n = len(found)
    sizes = size_positions(
        found["entry"].to_numpy(), found["sl"].to_numpy(), rules.risk, instrument.lot, instrument.min_notional
    )
    identity = plan_hash(setup, rules)
    keys = [
        _digest(f"{instrument.exchange}|{instrument.symbol}|{timeframe}|{setup.name}|{identity}|{side}|{a}|{b}", 16)
        for side, a, b in zip(found["direction"], found["anchor_a_ms"], found["anchor_b_ms"], strict=True)
    ]
    signals = found.assign(
        id=np.zeros(n, dtype=np.int64),
        key=keys,
        exchange=instrument.exchange,
        symbol=instrument.symbol,
        timeframe=timeframe,
        setup=setup.name,
        valid_until_ms=found["decided_ms"] + rules.validity_candles * timeframe_ms(timeframe),
        leverage=sizes.leverage,
        risk_pct=rules.risk.risk_pct,
        position_notional=sizes.notional,
        plan_hash=identity,
        ml_p_raw=decisions["ml_p_raw"].to_numpy(),
        ml_p=decisions["ml_p"].to_numpy(),
        ev_pct=decisions["ev_pct"].to_numpy(),
        model_version=decisions["model_version"].to_numpy(),
        verdict=decisions["verdict"].to_numpy(),
        reason=decisions["reason"].to_numpy(),
        origin="",
        in_sample=np.zeros(n, dtype=np.int64),
    )
    return conform(signals, SIGNALS), decisions


def simulate(
    trades: pd.DataFrame,
    signals: pd.DataFrame,
    policy: ExitPolicy,
    runs: Sequence[Run],
    which: npt.ArrayLike,
    tick: FloatArray,
    rules: ExecutionRules,
    costs: CostModel,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Play the trades of one exit policy on one-minute candles, each up to its series' frontier.

    Parameters
    ----------
    trades : pandas.DataFrame
        Columns `schema.TRADES`: new ones (`execution.book.new_trades`) or ones begun earlier.
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, row by row beside `trades`.
    policy : ExitPolicy
    runs : sequence of Run
        Candles, frontier and funding of each series.
    which : int array-like, shape (n,), or int
        Position in `runs` of each trade's series.
    tick : float64 array, shape (n,)
        Price step targets are rounded to; NaN where unknown.
    rules, costs
        How orders fill and what they cost.

    Returns
    -------
    trades : pandas.DataFrame
        The same rows, further on.
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`: what happened now.
    """
    return book.play(trades, signals, policy.plan(signals, tick), runs, which, rules, costs)


def take(rows: pd.DataFrame, limits: Limits | None = None) -> pd.DataFrame:
    """Decide, one candidate after the other, which of the passed ones are taken.

    Parameters
    ----------
    rows : pandas.DataFrame
        Trades joined with their signals: signal_id, exit_policy, key, decided_ms, symbol, timeframe, verdict,
        position_notional, and the outcome's known_ms, exit_reason and pnl_pct.
    limits : Limits, optional
        Asked in the order of decision about each candidate that passed the gate and has a size.

    Returns
    -------
    pandas.DataFrame
        signal_id, exit_policy, taken (0 | 1), blocked_by (``""`` or what refused a passed candidate), in
        the order of decision.
    """
    ordered = rows.sort_values(["decided_ms", "symbol", "timeframe", "key", "exit_policy"], kind="stable")
    passed = ordered["verdict"].isin(list(PASSED)).to_numpy()
    sized = (ordered["position_notional"] > 0).to_numpy()
    blocked = np.where(passed & ~sized, BELOW_MINIMUM, "").astype(object)
    taken = (passed & sized).astype(np.int64)
    if limits is not None:
        for position in np.flatnonzero(taken):
            candidate = ordered.iloc[position]
            refusal = limits.refuses(candidate)
            if refusal:
                taken[position], blocked[position] = 0, refusal
            else:
                limits.takes(candidate)
    return pd.DataFrame(
        {
            "signal_id": ordered["signal_id"].to_numpy(),
            "exit_policy": ordered["exit_policy"].to_numpy(),
            "taken": taken,
            "blocked_by": pd.Series(blocked, dtype="str"),
        }
    )


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
