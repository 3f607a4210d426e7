"""The one path from candles to judged, played and taken candidates.

The law: live scan, retro scan and labels call these functions, and nothing else finds, describes, judges, plays or
takes. They are pure: same arguments, same rows.

    scan        candles -> candidates, sized
    describe    candidates and what was around them -> feature vectors
    ask         vectors -> a model's opinions: probability and expected value
    judge       opinions -> verdict and reason
    simulate    candidates on one-minute candles -> trades and events
    take        which ones an account holds
"""

from core.pipeline._judge import Surroundings, ask, decided, describe, judge, nobody, plan_columns
from core.pipeline._play import BELOW_MINIMUM, simulate, take
from core.pipeline._scan import ENGINE_VERSION, ScanRules, plan_hash, scan

__all__ = [
    "BELOW_MINIMUM",
    "ENGINE_VERSION",
    "ScanRules",
    "Surroundings",
    "ask",
    "decided",
    "describe",
    "judge",
    "nobody",
    "plan_columns",
    "plan_hash",
    "scan",
    "simulate",
    "take",
]
