"""The tables the kernel reads and writes: one record a trade, a candle, a settlement or an event.

The law: only numbers cross into the kernel, and all prices as a long sees them: those of a short are negated,
exact in floating point, so that one set of comparisons serves both. Words cross as codes
(`core.execution.codes`); times are UTC ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["CANDLE", "EVENT", "MARK", "PLAN", "RANGE", "TARGET", "TERMS", "TRADE", "Record", "Table", "table"]

# Records answer to the names of their fields, which numpy's type stubs cannot express.
Record = Any
Table = Any


def _layout(ints: str, floats: str) -> np.dtype[np.void]:
    fields = [(name, np.int64) for name in ints.split()] + [(name, np.float64) for name in floats.split()]
    return np.dtype((np.record, fields))


# For a short, high and low have changed places.
CANDLE = _layout("ts", "open high low close")

# How far some candles went together.
RANGE = _layout("", "high low")

# A funding settlement: percent of notional paid by a long, and whether it is recorded or the default.
MARK = _layout("ts source", "rate_pct")

# What was planned. sign: 1 long, -1 short; start_ms: the first candle an order can meet; hold_ms: 0 = no limit;
# the moving stop is extreme * trail_factor - trail_distance; run_from to delisted: the stretch it is played on;
# the rest as in `core.ports.ExitPlan`.
PLAN = _layout(
    "order decided_ms start_ms valid_until_ms hold_ms n_targets be_after trail_after exit_from exit_to "
    "run_from run_to mark_from mark_to frontier_ms delisted",
    "sign entry sl tp1 trail_factor trail_distance",
)
TARGET = _layout("", "price fraction")

# What the next candle needs to know and what has been earned so far: columns of `schema.TRADES`, codes for words;
# row: position in the batch.
TRADE = _layout(
    "row status exit_reason opened_ms closed_ms ambiguous next_ms next_target funded_ms n_events",
    "fill_price exit_price gross_pct fees_pct funding_pct mfe_pct mae_pct stop extreme remaining",
)

# Columns of `schema.TRADE_EVENTS`; row: that of the trade.
EVENT = _layout("row seq ts_ms kind source", "price fraction fee_pct rate_pct")

# What holds for the whole batch; slippage is a fraction, the flags are 0 or 1.
TERMS = _layout(
    "through conservative cancel_if_missed",
    "resting_pct crossing_pct slippage",
)


def table(layout: np.dtype[np.void], shape: int | tuple[int, ...], **columns: Any) -> Table:
    """Return a table of that shape with those columns filled in."""
    made = np.empty(shape, dtype=layout)
    for name, values in columns.items():
        made[name] = values
    return made.view(np.recarray)
