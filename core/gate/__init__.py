"""The gate: what becomes of a candidate, and the machine-readable reason.

The law: every candidate gets a verdict, and the verdict is never about anything known after its close.
"""

from core.gate.calibrator import Calibrator
from core.gate.evidence import Evidence, Slice
from core.gate.model import Judged, Model
from core.gate.thresholds import GateRules, Override
from core.gate.value import Payoff, expected_value
from core.gate.verdict import (
    DISABLED,
    MODEL_UNREADABLE,
    NO_MODEL,
    PASSED,
    REASONS,
    VERDICTS,
    Where,
    abstained,
    decide,
    first_out_of_range,
    refuse,
    ungated,
)

__all__ = [
    "DISABLED",
    "MODEL_UNREADABLE",
    "NO_MODEL",
    "PASSED",
    "REASONS",
    "VERDICTS",
    "Calibrator",
    "Evidence",
    "GateRules",
    "Judged",
    "Model",
    "Override",
    "Payoff",
    "Slice",
    "Where",
    "abstained",
    "decide",
    "expected_value",
    "first_out_of_range",
    "refuse",
    "ungated",
]
