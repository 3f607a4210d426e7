"""From closed candles to sized candidates.

The law: a candidate's identity follows from its series, its plan and its anchors alone, so whoever finds it again
finds the same one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.clock import timeframe_ms
from core.execution.costs import CostModel
from core.ports import Setup
from core.risk.sizing import RiskRules, size_positions
from core.schema import CANDIDATES, SIGNALS, Candles, Instrument, empty_frame, frame_of

__all__ = ["ENGINE_VERSION", "ScanRules", "plan_hash", "scan"]

ENGINE_VERSION = "1"
"""Raised when the same parameters begin to give other plans; it is part of every plan_hash."""


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What a scan needs beside candles and a setup.

    Parameters
    ----------
    costs : CostModel
    risk : RiskRules
    validity_candles : int
        How long an entry stays valid, in candles of the signal's timeframe.
    """

    costs: CostModel
    risk: RiskRules
    validity_candles: int


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
) -> pd.DataFrame:
    """Find and size the candidates of one series.

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
    pandas.DataFrame
        Columns `schema.SIGNALS` with id 0, in order of decision, one row a candidate; nobody has judged them yet:
        origin and verdict are ``""``.
    """
    found = setup.find(candles, instrument, timeframe, first)
    if found.empty:
        return empty_frame(SIGNALS)
    n = len(found)
    sizes = size_positions(
        found["entry"].to_numpy(), found["sl"].to_numpy(), rules.risk, instrument.lot, instrument.min_notional
    )
    identity = plan_hash(setup, rules)
    series = f"{instrument.exchange}|{instrument.symbol}|{timeframe}|{setup.name}|{identity}"
    whose = zip(*(found[name].tolist() for name in ("direction", "anchor_a_ms", "anchor_b_ms")), strict=True)
    columns = {
        **{name: found[name].array for name in CANDIDATES},
        **dict.fromkeys(("ml_p_raw", "ml_p", "ev_pct"), np.nan),
        **dict.fromkeys(("model_version", "verdict", "reason"), ""),
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
    return frame_of(columns, n, SIGNALS)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
