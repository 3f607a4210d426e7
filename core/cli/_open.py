"""What commands share: logging, the configuration and the desk."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from core import app
from core.config import Config, ConfigSource, config_warnings
from core.errors import UsageError, nearest
from core.jobs._desk import Desk
from core.redact import install_redaction

__all__ = ["chosen", "close", "database", "desk_of", "hide_secrets", "log_to_stderr", "source_of"]


def log_to_stderr(arguments: argparse.Namespace) -> logging.Logger:
    """Send the engine's log to standard error and return its logger."""
    level = logging.DEBUG if arguments.debug else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s", force=True)
    for noisy in ("apscheduler", "httpx", "httpcore", "ccxt", "asyncio", "numba", "telegram"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return logging.getLogger("trader")


def source_of(arguments: argparse.Namespace) -> ConfigSource:
    """Return the configuration a command works with, its warnings logged."""
    source = app.config_source(Path(arguments.config), arguments.profile)
    hide_secrets(source.current)
    for line in config_warnings(source.current):
        logging.getLogger("trader").warning(line)
    return source


def hide_secrets(config: Config) -> None:
    """Cut the configuration's secrets out of everything logged from now on."""
    install_redaction([config.notify.telegram.bot_token.get_secret_value()])


def database(config: Config) -> Path:
    """Return the path of the database."""
    return Path(config.app.db_path)


@contextlib.asynccontextmanager
async def desk_of(arguments: argparse.Namespace, offline: bool = False) -> AsyncIterator[Desk]:
    """Open a desk for one command, with a market that is never asked if `offline`; close all of it behind."""
    log = log_to_stderr(arguments)
    source = source_of(arguments)
    desk = app.open_desk(source, log, app.offline_market(source.current) if offline else None)
    try:
        yield desk
    finally:
        await close(desk)


async def close(desk: Desk) -> None:
    """Release the market, the messengers and the database."""
    await asyncio.gather(desk.market.close(), *(notifier.close() for notifier in desk.notifiers.values()))
    desk.writer.close()


def chosen(asked: list[str] | None, known: list[str], what: str) -> list[str]:
    """Return the names asked for, or all where none was.

    Raises
    ------
    UsageError
        One of them is not configured.
    """
    for name in asked or []:
        if name not in known:
            raise UsageError(f"{what} '{name}' is not in the configuration; {nearest(name, known)}")
    return asked or known
