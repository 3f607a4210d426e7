"""What the engine asks of the outside world and of its plug-ins, as Protocols.

The law: stages and jobs know these names, never a concrete class; `app` alone chooses one.
"""

from core.ports.learning import Estimator, FittedEstimator, Sample, Scores
from core.ports.outside import Market, Message, Notifier
from core.ports.trading import ExitPlan, ExitPolicy, ExplainingSetup, NoCandidate, Setup

__all__ = [
    "Estimator",
    "ExitPlan",
    "ExitPolicy",
    "ExplainingSetup",
    "FittedEstimator",
    "Market",
    "Message",
    "NoCandidate",
    "Notifier",
    "Sample",
    "Scores",
    "Setup",
]
