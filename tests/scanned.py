"""A database of a synthetic tape that the engine itself has scanned and played."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.adapters.markets.synthetic import make_tape
from core.clock import HOUR_MS, parse_time
from core.store.writer import Writer
from tests.engine import trader, write_config

__all__ = ["SYMBOLS", "scanned_tape"]

SYMBOLS = ["BTC/USDT:USDT", "ETH/USDT:USDT"]


def scanned_tape(folder: Path, days: int = 17) -> Path:
    """Write the database and its configuration into a folder; return the configuration's path."""
    change = {
        "exchange": {"id": "synthetic"},
        "symbols": SYMBOLS,
        "timeframes": ["5m", "15m"],
        "app": {"log_level": "ERROR"},
    }
    path = write_config(folder, change)
    tape = make_tape("edge", SYMBOLS, parse_time("2024-01-01"), days, 11, 0.8)
    half = np.arange(tape.start_ms, (tape.start_ms + tape.end_ms) // 2, 8 * HOUR_MS)  # the default holds from there on
    rates = np.column_stack([half, 0.0002 * (-1.0) ** np.arange(len(half))])
    with Writer(folder / "ohlcv.db") as writer:
        writer.put_instruments(list(tape.instruments("synthetic").values()))
        for symbol, one in tape.series.items():
            writer.put_candles("synthetic", symbol, "1m", one.candles, tape.end_ms)
            writer.set_frontier("synthetic", symbol, "1m", tape.end_ms)
            writer.put_funding("synthetic", symbol, rates)
    assert trader(path, "retro-scan") == 0
    return path
