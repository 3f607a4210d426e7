"""XGBoost without scikit-learn: the judging path starts in a fifth of a second instead of most of one.

The law: nothing but the import is touched; scikit-learn can be imported before and after as if this were not here.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import cast

__all__ = ["light_xgboost"]

_OPTIONAL = ("sklearn", "xgboost.sklearn")


def light_xgboost() -> ModuleType:
    """Return the package ``xgboost``, imported without its optional wrappers for scikit-learn.

    Notes
    -----
    ``xgboost.compat`` tries ``import sklearn``, and ``xgboost`` itself its wrappers and its plots, which bring
    ``scipy.special``; both do without where there is none. Only classes such as ``XGBClassifier``, which nothing here
    uses, need them. While ``sys.modules`` maps a name to None, Python's documented answer to importing it is
    ModuleNotFoundError. Measured: 0.1 s against 0.72 s, beyond numpy and pandas. Another thread that imports
    scikit-learn for the first time in just that moment is told there is none; where either package is loaded already,
    nothing is hidden.

    References
    ----------
    The Python Language Reference, 5.3.1, "The module cache".
    """
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    hidden = () if "xgboost" in modules or "sklearn" in modules else _OPTIONAL
    modules.update(dict.fromkeys(hidden))
    try:
        return importlib.import_module("xgboost")
    finally:
        for name in hidden:
            modules.pop(name, None)
