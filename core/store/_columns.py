"""The columns of the tables the store alone knows: what `Reader` answers with beside `core.schema`'s frames.

The law: as in `core.schema`: integers are 0 and texts ``""`` where nothing is known, floats NaN.
"""

from __future__ import annotations

from core.schema import FrameSpec

__all__ = ["FUNDING", "GAPS", "JOB_RUNS", "OUTBOX", "QUARANTINE", "REVISIONS", "SERIES", "SYMBOLS_OFF"]

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
