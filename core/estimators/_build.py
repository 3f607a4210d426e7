"""An estimator as the configuration describes it.

The law: whoever builds one, here or to check a configuration, reads the same keys.
"""

from __future__ import annotations

from core import plugins
from core.config import Config
from core.ports import Estimator

__all__ = ["build_estimator"]


def build_estimator(config: Config, name: str) -> Estimator:
    """Return an estimator with its parameters in `models.meta.estimators`.

    Raises
    ------
    ConfigError
        There is no such estimator, or it refuses a parameter.
    """
    meta = config.models.meta
    estimator: Estimator = plugins.build(
        "core.estimators",
        name,
        meta.estimators.get(name, {}),
        "models.meta.estimators",
        named_by="models.meta.estimator" if name == meta.estimator else "",
    )
    return estimator
