"""The composition root: the only place that names concrete classes.

The law: live, replay, synthetic, demo and tests differ only in what is built here; nothing else asks which
mode it runs in.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core import plugins
from core.clock import timeframe_ms
from core.config import Config, ConfigSource, Reload
from core.errors import ConfigError, nearest
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules
from core.jobs._desk import Desk
from core.ports import ExitPolicy, Market, Notifier, Setup
from core.store.reader import Reader
from core.store.writer import Writer

if TYPE_CHECKING:
    from core.adapters.markets.replay import Tape
    from core.features import FeatureSet

__all__ = ["build_costs", "build_rules", "config_source", "open_desk", "open_market", "refresh"]


def config_source(path: Path, profile: str | None, environ: Mapping[str, str] | None = None) -> ConfigSource:
    """Return the configuration of a file and a profile.

    Parameters
    ----------
    path : Path
        Such as ``config.yaml``.
    profile : str or None
        NAME lays ``config.NAME.yaml`` beside `path` over it.
    environ : mapping, optional
        The environment; the process's own where not given.

    Raises
    ------
    ConfigError
        No such profile, or a configuration that does not hold.
    """
    overlays = []
    if profile:
        overlay = path.with_name(f"{path.stem}.{profile}{path.suffix}")
        if not overlay.is_file():
            known = [other.name.split(".")[1] for other in path.parent.glob(f"{path.stem}.*{path.suffix}")]
            raise ConfigError(
                f"profile '{profile}': there is no {overlay.name}; {nearest(profile, known)}".rstrip("; ")
            )
        overlays.append(overlay)
    return ConfigSource(path, os.environ if environ is None else environ, overlays)


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


def build_exit_policy(config: Config) -> ExitPolicy:
    """Return the exit policy named in `execution.exit_policy`."""
    name = config.execution.exit_policy
    policy: ExitPolicy = plugins.build(
        "core.exits", name, config.execution.exits.get(name, {}), "execution.exits", given=config.exit_params(name)
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


def open_market(config: Config, reader: Reader) -> Market:
    """Return the market `exchange.id` names.

    A tape goes on where the database's record of it ends, so that a second start resumes the first.
    """
    exchange = config.exchange
    if exchange.id == "synthetic":
        from core.adapters.markets.replay import ReplayMarket
        from core.adapters.markets.synthetic import make_tape

        made = exchange.synthetic
        return ReplayMarket(
            make_tape(made.world, config.symbols, made.start_ms, made.days, made.seed, made.p_star),
            exchange.id,
            start_ms=max(made.start_ms, _resumed_ms(reader, exchange.id, config.symbols)),
            speed=made.speed,
            step_ms=timeframe_ms(made.step),
            synthetic=True,
        )
    if exchange.id == "replay":
        from core.adapters.markets.replay import ReplayMarket

        played = exchange.replay
        return ReplayMarket(
            _tape(config),
            played.as_,
            start_ms=max(played.start_ms or 0, _resumed_ms(reader, played.as_, config.symbols)),
            end_ms=played.end_ms,
            speed=played.speed,
            step_ms=timeframe_ms(played.step),
        )
    from core.adapters.markets.ccxt import CcxtMarket

    return CcxtMarket(exchange.id, exchange.rate_limit_ms, exchange.base_url)


def offline_market(config: Config, exchange: str = "", reader: Reader | None = None) -> Market:
    """Return a market that is never asked, under whose name a command's rows are recorded.

    Where a tape is played its time is the newest that the database of `reader` holds, else the machine's.
    """
    from core.adapters.markets.offline import OfflineMarket

    name = exchange or recorded_as(config)
    at_ms = _played_ms(reader, name) if reader and config.exchange.id in ("replay", "synthetic") else None
    return OfflineMarket(name, synthetic=config.exchange.id == "synthetic", at_ms=at_ms or None)


def recorded_as(config: Config) -> str:
    """Return the exchange rows are recorded under."""
    return config.exchange.replay.as_ if config.exchange.id == "replay" else config.exchange.id


def open_desk(source: ConfigSource, log: logging.Logger, market: Market | None = None) -> Desk:
    """Open the database, the market and the messengers, and build every plug-in.

    Parameters
    ----------
    source : ConfigSource
    log : logging.Logger
    market : Market, optional
        One that exists already (tests, demo); else the configured one.
    """
    config = source.current
    writer = Writer(Path(config.app.db_path))
    try:
        chosen = market or open_market(config, writer.reader)
        desk = _assemble(config, chosen, writer, open_notifiers(config), log, source)
    except BaseException:
        writer.close()
        raise
    if chosen.synthetic:
        writer.set_meta(f"synthetic:{chosen.exchange}", "1")
    return desk


def reopen(path: Path, environ: Mapping[str, str], overlays: Sequence[Path]) -> Desk:
    """Open a desk on the same configuration and database in another process: nobody is asked, nobody is told."""
    source = ConfigSource(path, environ, overlays)
    reader = Reader(Path(source.current.app.db_path))
    market = offline_market(source.current, reader=reader)
    return open_desk(source, logging.getLogger("trader"), market)


def refresh(desk: Desk, source: ConfigSource) -> tuple[Desk, Reload]:
    """Read the configuration again: a desk built from it where it changed and holds, else the old one."""
    reload = source.reload()
    if not reload.changed:
        desk.symbols = _followed(desk.config, desk.writer, desk.exchange)  # one may have been paused meanwhile
        return desk, reload
    try:
        return _assemble(reload.config, desk.market, desk.writer, desk.notifiers, desk.log, source), reload
    except ConfigError as error:
        return desk, replace(reload, changed=False, error=str(error))


def open_notifiers(config: Config) -> dict[str, Notifier]:
    """Return the messengers that are switched on, by channel name."""
    from core.adapters.notifiers.console import ConsoleNotifier

    found: dict[str, Notifier] = {}
    if config.notify.console:
        found["console"] = ConsoleNotifier(sys.stdout)
    telegram = config.notify.telegram
    if telegram.enabled:
        from core.adapters.notifiers.telegram import TelegramNotifier

        found["telegram"] = TelegramNotifier(telegram.bot_token.get_secret_value(), telegram.chat_id, telegram.base_url)
    return found


def _assemble(
    config: Config,
    market: Market,
    writer: Writer,
    notifiers: dict[str, Notifier],
    log: logging.Logger,
    source: ConfigSource,
) -> Desk:
    costs = build_costs(config)
    return Desk(
        config=config,
        market=market,
        writer=writer,
        reader=writer.reader,
        exchange=market.exchange,
        symbols=_followed(config, writer, market.exchange),
        setups=build_setups(config, costs),
        exit_policy=build_exit_policy(config),
        costs=costs,
        rules=build_rules(config),
        notifiers=notifiers,
        log=log,
        features=build_features(config),
        source=source,
        reopen=partial(reopen, *source.files),
    )


def _followed(config: Config, writer: Writer, exchange: str) -> list[str]:
    """Return the configured symbols that are not switched off."""
    off = set(writer.reader.symbols_off(exchange)["symbol"])
    return [symbol for symbol in config.symbols if symbol not in off]


def _tape(config: Config) -> Tape:
    """Return the tape a replay plays: files, or the candles of a database."""
    from core.adapters.markets import files

    if config.tape_database is None:
        return files.read_tape(config.tape_path, config.exchange.replay.files, config.symbols)
    return _stored_tape(Reader(config.tape_database), config)


def _stored_tape(reader: Reader, config: Config) -> Tape:
    """Return what a database holds of the configured symbols, of the exchange named or of the only one."""
    from core.adapters.markets.replay import Tape

    series = reader.series()
    stored = sorted(set(series.loc[series["timeframe"] == config.data.base_timeframe, "exchange"]))
    wanted = config.exchange.replay.as_
    if wanted not in stored and len(stored) != 1:
        told = ", ".join(stored) or "none"
        raise ConfigError(f"exchange.replay.as = {wanted}: expected an exchange of the database; it holds {told}")
    exchange = wanted if wanted in stored else stored[0]
    candles = {symbol: reader.candles(exchange, symbol, config.data.base_timeframe) for symbol in config.symbols}
    funding = {symbol: reader.funding(exchange, symbol) for symbol in config.symbols}
    return Tape.of(
        {symbol: run for symbol, run in candles.items() if len(run)},
        reader.instruments(exchange),
        {symbol: rates for symbol, rates in funding.items() if len(rates)},
    )


def _played_ms(reader: Reader, exchange: str) -> int:
    """Return the newest time a tape has been played to; 0 where there is nothing of it."""
    if not reader.path.exists():
        return 0
    series = reader.series()
    return int(series.loc[series["exchange"] == exchange, "frontier_ms"].max()) if len(series) else 0


def _resumed_ms(reader: Reader, exchange: str, symbols: Sequence[str]) -> int:
    """Return the time up to which the database already holds the minutes of some symbols; 0 when it holds none."""
    series = reader.series()
    off = set(reader.symbols_off(exchange)["symbol"])  # a paused symbol does not hold the tape back
    played = [symbol for symbol in symbols if symbol not in off]
    mine = series[(series["exchange"] == exchange) & (series["timeframe"] == "1m") & series["symbol"].isin(played)]
    return int(mine["frontier_ms"].min()) if len(mine) else 0
