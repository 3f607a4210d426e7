"""Features: a candidate and the market around it as numbers, one file a family.

The law: a new family is a new file; everybody else knows the set alone.
"""

from core.features._base import Outcomes, Plans, View
from core.features._set import OUTCOMES, FeatureSet, feature_set

__all__ = ["OUTCOMES", "FeatureSet", "Outcomes", "Plans", "View", "feature_set"]
