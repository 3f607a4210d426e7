"""What the engine asks of the outside world and of its plug-ins, as Protocols.

The law: stages and jobs know these names, never a concrete class; `app` alone chooses one.
"""

from core.ports.learning import Estimator, FittedEstimator, Sample, Scores
from core.ports.outside import Addressed, Heard, Listener, Market, Message, Metered, Notifier, Traffic
from core.ports.trading import ExitPlan, ExitPolicy, ExplainingSetup, NoCandidate, Setup

__all__ = [
    "Addressed",
    "Estimator",
    "ExitPlan",
    "ExitPolicy",
    "ExplainingSetup",
    "FittedEstimator",
    "Heard",
    "Listener",
    "Market",
    "Message",
    "Metered",
    "NoCandidate",
    "Notifier",
    "Sample",
    "Scores",
    "Setup",
    "Traffic",
]
