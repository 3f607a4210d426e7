"""What commands share: the configuration and the desk."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from core import app
from core.cli._log import log_to_stderr
from core.config import Config, ConfigSource, config_warnings
from core.errors import UsageError, nearest
from core.jobs._desk import Desk

__all__ = ["chosen", "close", "database", "desk_of", "source_of"]


def source_of(arguments: argparse.Namespace) -> ConfigSource:
    """Return the configuration a command works with; the log goes to standard error from now on."""
    source = app.config_source(Path(arguments.config), arguments.profile)
    log = log_to_stderr(source.current, arguments.debug)
    for line in config_warnings(source.current):
        log.warning(line)
    return source


def database(config: Config) -> Path:
    """Return the path of the database."""
    return Path(config.app.db_path)


@contextlib.asynccontextmanager
async def desk_of(arguments: argparse.Namespace, offline: bool = False, exchange: str = "") -> AsyncIterator[Desk]:
    """Open a desk for one command and close all of it behind.

    Parameters
    ----------
    arguments : argparse.Namespace
    offline : bool
        With a market that is never asked.
    exchange : str
        Record rows under this exchange instead of the configured one; offline only.
    """
    source = source_of(arguments)
    market = app.offline_market(source.current, exchange) if offline else None
    desk = app.open_desk(source, logging.getLogger("trader"), market)
    try:
        yield desk
    finally:
        await close(desk)


async def close(desk: Desk) -> None:
    """Release the market, the messengers and the database."""
    await asyncio.gather(desk.market.close(), *(notifier.close() for notifier in desk.notifiers.values()))
    desk.writer.close()


def chosen(asked: list[str] | None, known: Sequence[str], what: str) -> list[str]:
    """Return the names asked for, or all where none was.

    Raises
    ------
    UsageError
        One of them is not known.
    """
    for name in asked or []:
        if name not in known:
            raise UsageError(f"{what} '{name}' is not in the configuration; {nearest(name, known)}")
    return asked or list(known)
