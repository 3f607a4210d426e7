"""The composition root: the only place that names concrete classes.

The law: live, replay, synthetic, demo and tests differ only in what is built here; nothing else asks which
mode it runs in.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from core.app._made import note_made
from core.app.markets import check_market, offline_market, open_market, recorded_as
from core.app.parts import (
    build_costs,
    build_exit_policy,
    build_features,
    build_rules,
    build_setups,
    check_parts,
    placed,
)
from core.config import Config, ConfigSource, Reload, config_diff, config_source, secrets_of
from core.errors import ConfigError
from core.jobs._desk import Desk
from core.ports import Market, Notifier
from core.redact import install_redaction
from core.store.reader import Reader
from core.store.writer import Writer

__all__ = [
    "build_costs",
    "build_exit_policy",
    "build_features",
    "build_rules",
    "build_setups",
    "check_config",
    "config_source",
    "note_made",
    "offline_market",
    "open_desk",
    "open_market",
    "open_notifiers",
    "open_pinger",
    "recorded_as",
    "refresh",
    "reopen",
]


def check_config(config: Config) -> None:
    """Refuse what the files alone do not show to be wrong: names and parameters of plug-ins, the exchange.

    Raises
    ------
    ConfigError
        The engine would not start with it.
    """
    with placed(config):
        check_parts(config)
        check_market(config)


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
    if market is None:  # else candles come from somewhere else, or none come at all
        note_made(config, writer)
    return desk


def reopen(path: Path, environ: Mapping[str, str], overlays: Sequence[Path]) -> Desk:
    """Open a desk on the same configuration and database in another process: nobody is asked, nobody is told."""
    source = ConfigSource(path, environ, overlays)
    install_redaction(secrets_of(source.current))
    reader = Reader(Path(source.current.app.db_path))
    market = offline_market(source.current, reader=reader)
    return open_desk(source, logging.getLogger("trader"), market)


def refresh(desk: Desk, source: ConfigSource) -> tuple[Desk, Reload]:
    """Read the configuration again: a desk built from it where it changed and holds, else the old one.

    What cannot be built (a plug-in refuses its parameters) stays refused until the files change again; nothing of it
    is in force meanwhile.
    """
    reload = source.reload()
    is_new = reload.error is None and reload.config is not desk.config
    diff = config_diff(desk.config, reload.config) if is_new else []
    if not diff:
        desk.config = reload.config if is_new else desk.config  # the same settings, perhaps written elsewhere
        desk.symbols = _followed(desk.config, desk.writer, desk.exchange)  # one may have been paused meanwhile
        return desk, replace(reload, config=desk.config, changed=False, diff=[])
    try:
        after = _assemble(reload.config, desk.market, desk.writer, desk.notifiers, desk.log, source)
    except ConfigError as error:
        return desk, replace(reload, config=desk.config, changed=False, diff=[], error=str(error))
    return after, replace(reload, changed=True, diff=diff)


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


def open_pinger(log: logging.Logger) -> Callable[[str, bool], None]:
    """Return what asks `app.ping_url` after a cycle."""
    from core.adapters.pinger import Pinger

    return Pinger(log)


def _assemble(
    config: Config,
    market: Market,
    writer: Writer,
    notifiers: dict[str, Notifier],
    log: logging.Logger,
    source: ConfigSource,
) -> Desk:
    with placed(config):
        check_parts(config)
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
