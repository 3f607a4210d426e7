"""The configuration as one frozen value.

The law: attributes are the keys of `config.yaml`, and whatever must be worked out of several keys is
worked out here, so that nobody else interprets them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from core.config._market import App, Backfill, Data, Exchange, Incremental
from core.config._operation import Auto, Compute, Models, Notify
from core.config._rules import broken_rules
from core.config._trading import Execution, Risk, Signals
from core.config._tree import Origin
from core.config._types import Section, SomeUnique, Symbol, Timeframe, key

__all__ = ["Config"]


class Config(Section):
    """Every setting of the engine, checked; frozen, comparable, picklable.

    Build it with `load_config`; ``Config(symbols=["BTC/USDT:USDT"])`` is the shipped configuration for
    that symbol.

    Examples
    --------
    >>> config = Config(symbols=["BTC/USDT:USDT"])
    >>> config.signals.fibo.entry_level, config.costs_mode, config.risk.risk_pct
    (0.618, 'auto', 0.5)
    """

    app: App = App()
    exchange: Exchange = Exchange()
    symbols: SomeUnique[Symbol] = key(..., "What is fetched, scanned and traded.")
    timeframes: SomeUnique[Timeframe] = key(
        ("15m", "1h", "4h"), "What is scanned; each the base timeframe or a derived one.", "timeframes"
    )
    data: Data = Data()
    backfill: Backfill = Backfill()
    incremental: Incremental = Incremental()
    signals: Signals = Signals()
    risk: Risk = Risk()
    execution: Execution = Execution()
    models: Models = Models()
    auto: Auto = Auto()
    compute: Compute = Compute()
    notify: Notify = Notify()

    _home: Path = PrivateAttr(default_factory=Path)
    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        broken = broken_rules(self)
        if broken:
            first = broken[0]
            raise PydanticCustomError(
                "rule",
                "{key}: {demand}",
                {"key": first.key, "demand": first.demand, "value": first.value, "more": len(broken) - 1},
            )
        return self

    @property
    def home(self) -> Path:
        """Folder of the configuration file; relative paths start there."""
        return self._home

    @property
    def origins(self) -> dict[str, Origin]:
        """Where each written key came from, by dotted key; keys left at their default are absent."""
        return dict(self._origins)

    @property
    def costs_mode(self) -> str:
        """The fee rule in force: ``auto``, ``maker`` or ``taker``."""
        written = self.execution.costs_mode
        if "costs_mode" not in self.execution.model_fields_set and self.models.meta.gating.costs_mode is not None:
            written = self.models.meta.gating.costs_mode
        return "maker" if written == "auto" and self.signals.fees.assume_maker else written

    @property
    def tape_database(self) -> Path | None:
        """The database a replay plays its candles from; None when it plays files."""
        path = self.exchange.replay.path
        if path is None or not path.startswith("db:"):
            return None
        return Path(path[3:]) if path[3:] else self.app.db_path

    @property
    def tape_path(self) -> Path | None:
        """The file or folder a replay plays its candles from; None when it plays a database."""
        path = self.exchange.replay.path
        return None if path is None or path.startswith("db:") else Path(path)

    def setup_params(self, name: str) -> dict[str, Any]:
        """Return what a setup is offered: the keys of `signals`, overridden by `signals.setups.<name>`.

        Parameters
        ----------
        name : str
            The setup's name; one that is not configured is offered the general keys.
        """
        signals = self.signals
        general = {
            **signals.fibo.model_dump(),
            "use_avwap": signals.avwap.use,
            "lookback_candles": signals.lookback_candles,
            "atr_period": signals.atr_period,
            "atr_mult_sl": signals.atr_mult_sl,
            "rr_min": signals.rr_min,
            "min_tp_net_pct": signals.min_tp_net_pct,
        }
        return {**general, **signals.setups.get(name, {})}

    def exit_params(self, name: str) -> dict[str, Any]:
        """Return what an exit policy is offered: the keys of `execution`, overridden by `execution.exits.<name>`.

        Parameters
        ----------
        name : str
            The policy's name; one that is not configured is offered the general keys.
        """
        execution = self.execution
        general = {
            "tp1_fraction": execution.tp1_fraction,
            "move_sl_to_be_on_tp1": execution.move_sl_to_be_on_tp1,
            "trail_use": execution.trail.use,
            "trail_method": execution.trail.method,
            "trail_mult": execution.trail.atr_mult,
            "max_hold_candles": execution.max_hold_candles,
        }
        return {**general, **execution.exits.get(name, {})}
