"""The engine's parts as a configuration describes them: costs, rules, setups, exits, features.

The law: a plug-in is named by the configuration and built here, once a configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core import plugins
from core.config import Config
from core.errors import ConfigError, nearest
from core.estimators import build_estimator
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules
from core.ports import ExitPolicy, Setup

if TYPE_CHECKING:
    from core.features import FeatureSet

__all__ = ["build_costs", "build_exit_policy", "build_features", "build_rules", "build_setups", "check_parts", "placed"]


def check_parts(config: Config) -> None:
    """Build whatever the configuration describes, also what is not in force, and keep nothing of it.

    Raises
    ------
    ConfigError
        A part cannot be built.
    """
    build_setups(config, build_costs(config))
    build_features(config)
    for policy in (config.execution.exit_policy, *config.execution.exits):
        build_exit_policy(config, policy)
    for estimator in (config.models.meta.estimator, *config.models.meta.estimators):
        build_estimator(config, estimator)


@contextmanager
def placed(config: Config) -> Iterator[None]:
    """Have a refusal inside say where its key, with which its line begins, was written."""
    try:
        yield
    except ConfigError as error:
        key = re.split(r": | = ", str(error))[0]
        places = [place for name, place in config.origins.items() if name == key or name.startswith(f"{key}.")]
        raise ConfigError(f"{places[0]}: {error}") if places else error from error


def build_costs(config: Config) -> CostModel:
    """Return the cost model the configuration describes."""
    fees = config.signals.fees
    return CostModel(
        maker_pct=fees.maker_pct,
        taker_pct=fees.taker_pct,
        slippage_pct=config.signals.slippage_pct,
        mode=config.costs_mode,
        funding_rate_pct=config.execution.funding_rate_pct,
    )


def build_rules(config: Config) -> ExecutionRules:
    """Return the execution rules the configuration describes."""
    return ExecutionRules(
        entry_delay_candles=config.execution.entry_delay_candles,
        fill=config.execution.fill,
        bar_policy=config.signals.bar_policy,
        cancel_if_missed=config.execution.cancel_if_missed,
        usd_per_trade=config.signals.evaluation.usd_per_trade,
    )


def build_setups(config: Config, costs: CostModel) -> list[Setup]:
    """Return the setups named in `signals.setups`, built with their parameters."""
    return [
        plugins.build(
            "core.setups",
            name,
            config.signals.setups[name],
            "signals.setups",
            given={**config.setup_params(name), "costs": costs},
        )
        for name in config.signals.setups
    ]


def build_exit_policy(config: Config, name: str = "") -> ExitPolicy:
    """Return an exit policy, the one named in `execution.exit_policy` where none is asked for."""
    chosen = config.execution.exit_policy
    name = name or chosen
    policy: ExitPolicy = plugins.build(
        "core.exits",
        name,
        config.execution.exits.get(name, {}),
        "execution.exits",
        given=config.exit_params(name),
        named_by="execution.exit_policy" if name == chosen else "",
    )
    return policy


def build_features(config: Config) -> FeatureSet | None:
    """Return what candidates are described by; None where no model is asked for.

    Raises
    ------
    ConfigError
        `signals.filters` names no feature, or there is nothing to filter by.
    """
    wanted = config.signals.filters
    if not config.models.meta.enabled:
        if wanted:
            raise ConfigError("signals.filters: features are only computed where models.meta.enabled is true")
        return None
    from core.features import feature_set

    features = feature_set()
    for name in wanted:
        if name not in features.columns:
            raise ConfigError(f"signals.filters.{name}: not a feature; {nearest(name, features.columns)}")
    return features
