"""Estimators: what learns p(win) from vectors and results, one file each.

The law: everybody else knows the port alone; the configuration names the file.
"""

from core.estimators._build import build_estimator

__all__ = ["build_estimator"]
