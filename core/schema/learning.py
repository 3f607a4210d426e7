"""The frames that models learn from and speak in.

The law: as in `core.schema.frames`: a column's name, type and unit are declared here once.
"""

from __future__ import annotations

from types import MappingProxyType

from core.schema.frames import FrameSpec

__all__ = ["OPINIONS", "PREDICTIONS", "TRAINING_ROWS"]

TRAINING_ROWS: FrameSpec = MappingProxyType(
    {
        "signal_id": "int64",
        "symbol": "str",
        "timeframe": "str",
        "setup": "str",
        "direction": "str",
        "regime_trend": "str",
        "regime_vol": "str",
        "decided_ms": "int64",  # t0: what was known then
        "opened_ms": "int64",
        "known_ms": "int64",  # t1: when the outcome could be known
        "stop_frac": "float64",  # distance from entry to stop, fraction of entry
        "rr1": "float64",  # reward to risk at the first and second target
        "rr2": "float64",
        "cost_r": "float64",  # expected round trip of the plan, R
        "won": "float64",  # 1 where pnl_pct > 0, else 0
        "net_r": "float64",
        "gross_r": "float64",  # net_r + cost_r + funding in R
        "funding_pct": "float64",
    }
)

OPINIONS: FrameSpec = MappingProxyType(
    {
        "model": "str",  # who says it; "" where nobody does
        "missing": "str",  # the required feature it lacks, or ""
        "unreadable": "int64",  # 0 | 1: the model that should say it cannot be verified
        "p_geo": "float64",
        "p_raw": "float64",
        "p": "float64",
        "payoff": "float64",
        "ev_payoff_r": "float64",
        "ev_p_r": "float64",
        "ev_r": "float64",
    }
)

PREDICTIONS: FrameSpec = MappingProxyType(
    {
        "signal_id": "int64",
        "ledger": "str",  # what the rows of one ledger share: plans, exits, features, estimator
        "model": "str",  # the model, or the block of the walk-forward, that said it
        "train_max_t1": "int64",  # newest outcome it had learned from
        "p_geo": "float64",
        "p_raw": "float64",
        "p": "float64",  # calibrated
        "payoff": "float64",
        "ev_payoff_r": "float64",
        "ev_p_r": "float64",
        "ev_r": "float64",
    }
)
