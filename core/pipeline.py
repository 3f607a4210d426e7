"""The one path from candles to decided, played and taken candidates.

The law: live scan, retro scan and labels call these three functions, `scan`, `simulate` and `take`, and
nothing else decides, plays or takes. They are pure: same arguments, same rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
from core.risk.limits import NEVER_MS, Account, LimitRules, Outcome
from core.risk.sizing import RiskRules, size_positions
from core.schema import CANDIDATES, DECISIONS, SIGNALS, Candles, FloatArray, Instrument, empty_frame, frame_of

__all__ = ["ENGINE_VERSION", "ScanRules", "plan_hash", "scan", "simulate", "take"]

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
    n = len(found)
    decisions = decide(n, rules.meta_enabled)
    sizes = size_positions(
        found["entry"].to_numpy(), found["sl"].to_numpy(), rules.risk, instrument.lot, instrument.min_notional
    )
    identity = plan_hash(setup, rules)
    series = f"{instrument.exchange}|{instrument.symbol}|{timeframe}|{setup.name}|{identity}"
    whose = zip(*(found[name].tolist() for name in ("direction", "anchor_a_ms", "anchor_b_ms")), strict=True)
    columns = {
        **{name: found[name].array for name in CANDIDATES},
        **{name: decisions[name].array for name in DECISIONS if name in SIGNALS},
        "id": 0,
        "key": [_digest(f"{series}|{side}|{a}|{b}", 16) for side, a, b in whose],
        "exchange": instrument.exchange,
        "symbol": instrument.symbol,
        "timeframe": timeframe,
        "setup": setup.name,
        "valid_until_ms": found["decided_ms"].to_numpy() + rules.validity_candles * timeframe_ms(timeframe),
        "leverage": sizes.leverage,
        "risk_pct": rules.risk.risk_pct,
        "position_notional": sizes.notional,
        "plan_hash": identity,
        "origin": "",
        "in_sample": 0,
    }
    return frame_of(columns, n, SIGNALS), decisions


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


def take(rows: pd.DataFrame, limits: LimitRules | None = None) -> pd.DataFrame:
    """Decide, one candidate after the other, which of the passed ones an account takes.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `schema.ACCOUNT_ROWS`. A settled row keeps its `taken`; it holds its slot and its outcome counts.
    limits : LimitRules, optional
        Asked about each candidate that passed the gate and has a size; none where not given.

    Returns
    -------
    pandas.DataFrame
        signal_id, exit_policy, taken (0 | 1), blocked_by (``""`` or what refused a passed candidate), in the
        order of decision: decided_ms, symbol, timeframe, key.

    Notes
    -----
    A taken trade holds its slot from decided_ms until its outcome is known; a waiting order until it expires.
    What is judged at one close uses outcomes known by then and nothing later, so the pass may be run again when
    more is known, and gives the same for every close whose outcomes had all been known.
    """
    ordered = rows.sort_values(["decided_ms", "symbol", "timeframe", "key", "exit_policy"], kind="stable")
    settled = ordered["settled"].to_numpy() == 1
    passed = ordered["verdict"].isin(list(PASSED)).to_numpy()
    sized = ordered["position_notional"].to_numpy() > 0
    taken = np.where(settled, ordered["taken"].to_numpy(), passed & sized).astype(np.int64)
    blocked = np.where(passed & ~sized, BELOW_MINIMUM, "").astype(object)
    blocked[settled] = ordered["blocked_by"].to_numpy(dtype=object)[settled]
    if limits is not None:
        account = Account(limits)
        for position, outcome in zip(np.flatnonzero(taken), _outcomes(ordered[taken == 1]), strict=True):
            refusal = "" if settled[position] else account.refuses(outcome)
            if refusal:
                taken[position], blocked[position] = 0, refusal
            else:
                account.takes(outcome)
    return pd.DataFrame(
        {
            "signal_id": ordered["signal_id"].to_numpy(),
            "exit_policy": ordered["exit_policy"].to_numpy(),
            "taken": taken,
            "blocked_by": pd.Series(blocked, dtype="str"),
        }
    )


def _outcomes(rows: pd.DataFrame) -> Iterator[Outcome]:
    """Yield what is known of each trade."""
    waiting, is_open = rows["status"] == "PENDING", rows["status"] == "OPEN"
    frees_ms = rows["known_ms"].mask(waiting, rows["valid_until_ms"]).mask(is_open, NEVER_MS)
    usd = (rows["pnl_pct"] / 100.0 * rows["position_notional"]).mask(waiting | is_open, 0.0)
    columns = (rows["symbol"], rows["timeframe"], rows["decided_ms"], frees_ms, rows["exit_reason"] == "SL", usd)
    for values in zip(*(column.tolist() for column in columns), strict=True):
        yield Outcome(*values)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
