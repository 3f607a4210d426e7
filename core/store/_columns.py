"""The columns of the tables the store alone knows: what `Reader` answers with beside `core.schema`'s frames.

The law: as in `core.schema`: integers are 0 and texts ``""`` where nothing is known, floats NaN.
"""

from __future__ import annotations

from core.schema import SIGNALS, TRADES, FrameSpec

__all__ = [
    "DRIFT",
    "FUNDING",
    "GAPS",
    "GAP_COUNTS",
    "JOB_RUNS",
    "LEDGER_ROWS",
    "MODELS",
    "OUTBOX",
    "PLANNED",
    "PLAYED",
    "QUARANTINE",
    "REIGNS",
    "REVISIONS",
    "SERIES",
    "SYMBOLS_OFF",
    "THRESHOLDS",
]

_VALUES = ("open", "high", "low", "close", "volume", "taker_volume", "n_minutes")

SERIES: FrameSpec = {
    "exchange": "str",
    "symbol": "str",
    "timeframe": "str",
    "frontier_ms": "int64",  # 0 where not set, as are the next two
    "checkpoint_ms": "int64",
    "scanned_ms": "int64",
    "first_ms": "int64",  # 0 where no candle is stored
    "last_ms": "int64",
}
FUNDING: FrameSpec = {"ts_ms": "int64", "rate": "float64"}
GAP_COUNTS: FrameSpec = {"exchange": "str", "symbol": "str", "timeframe": "str", "state": "str", "n": "int64"}
GAPS: FrameSpec = {
    "ts_ms": "int64",
    "state": "str",
    "first_missed_ms": "int64",
    "tries": "int64",
    "next_try_ms": "int64",
}
QUARANTINE: FrameSpec = {
    "exchange": "str",
    "symbol": "str",
    "timeframe": "str",
    "ts_ms": "int64",
    "reason": "str",
    "detail": "str",
    "first_seen_ms": "int64",
    "last_seen_ms": "int64",
    "times": "int64",
}
REVISIONS: FrameSpec = {
    "exchange": "str",
    "symbol": "str",
    "timeframe": "str",
    "ts_ms": "int64",
    "seen_ms": "int64",
    **{f"old_{name}": "float64" for name in _VALUES},  # NaN where a confirmed gap was filled
    **{f"new_{name}": "float64" for name in _VALUES},
}
OUTBOX: FrameSpec = {
    "id": "int64",
    "key": "str",
    "channel": "str",
    "kind": "str",
    "signal_id": "int64",  # 0 where none
    "exit_policy": "str",
    "payload": "str",
    "state": "str",
    "tries": "int64",
    "created_ms": "int64",
    "next_try_ms": "int64",
    "marked_ms": "int64",  # 0 until an attempt was marked
    "remote_id": "str",
    "error": "str",
}
JOB_RUNS: FrameSpec = {
    "id": "int64",
    "job": "str",
    "started_ms": "int64",
    "finished_ms": "int64",
    "status": "str",
    "detail": "str",
}
SYMBOLS_OFF: FrameSpec = {"symbol": "str", "reason": "str", "since_ms": "int64"}

# What a training set is made of: the long texts and the state the next minute needs are left out.
PLANNED: FrameSpec = {name: dtype for name, dtype in SIGNALS.items() if name not in ("rationale", "plan")}
PLAYED: FrameSpec = {
    name: TRADES[name]
    for name in (
        "signal_id",
        "exit_policy",
        "status",
        "opened_ms",
        "closed_ms",
        "known_ms",
        "fill_price",
        "exit_reason",
        "tp1_hit",
        "gross_pct",
        "fees_pct",
        "funding_pct",
        "pnl_pct",
        "r_multiple",
    )
}
LEDGER_ROWS: FrameSpec = {
    "signal_id": "int64",
    "source": "str",  # live: as it was said at the close | the ledger's name: as a walk-forward said it later
    "model": "str",
    "symbol": "str",
    "timeframe": "str",
    "setup": "str",
    "direction": "str",
    "regime_trend": "str",
    "regime_vol": "str",
    "verdict": "str",  # of the signal
    "decided_ms": "int64",
    "known_ms": "int64",
    "p_geo": "float64",
    "p_raw": "float64",
    "p": "float64",
    "ev_payoff_r": "float64",
    "ev_p_r": "float64",
    "pnl_pct": "float64",  # the outcome
    "r_multiple": "float64",
}
MODELS: FrameSpec = {
    "version": "str",
    "state": "str",  # candidate | champion | previous | retired
    "created_ms": "int64",
    "train_max_t1": "int64",
    "plan_hash": "str",
    "exit_policy": "str",
    "feature_set": "str",
    "sha256": "str",  # of the manifest of its files
}
REIGNS: FrameSpec = {"id": "int64", "since_ms": "int64", "version": "str", "reason": "str"}
THRESHOLDS: FrameSpec = {
    "id": "int64",
    "since_ms": "int64",
    "origin": "str",  # tune | user | rollback
    "gating": "str",  # JSON: the whole section models.meta.gating
    "evidence": "str",  # JSON
    "note": "str",
}
DRIFT: FrameSpec = {
    "id": "int64",
    "ms": "int64",
    "statistic": "str",
    "state": "str",  # alarm | clear
    "value": "float64",
    "n": "int64",
    "detail": "str",
}
