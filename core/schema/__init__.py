"""The shapes of data: candles as arrays, everything else as frames with declared columns.

The law: arrays inside, frames between; both are declared here and nowhere else.
"""

from core.schema.candles import Candles, FloatArray, Instrument, IntArray, perpetual
from core.schema.frames import (
    ACCOUNT_ROWS,
    CANDIDATES,
    DECISIONS,
    SIGNALS,
    TRADE_EVENTS,
    TRADES,
    FrameSpec,
    conform,
    empty_frame,
    frame_of,
)
from core.schema.learning import OPINIONS, PREDICTIONS, TRAINING_ROWS

__all__ = [
    "ACCOUNT_ROWS",
    "CANDIDATES",
    "DECISIONS",
    "OPINIONS",
    "PREDICTIONS",
    "SIGNALS",
    "TRADES",
    "TRADE_EVENTS",
    "TRAINING_ROWS",
    "Candles",
    "FloatArray",
    "FrameSpec",
    "Instrument",
    "IntArray",
    "conform",
    "empty_frame",
    "frame_of",
    "perpetual",
]
