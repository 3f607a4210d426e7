"""What commands share: the configuration and the desk.

The law: whatever a command opens is closed behind it, also when it fails.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from core import app
from core.cli._log import log_to_stderr
from core.clock import parse_time
from core.config import Config, ConfigSource, config_warnings
from core.errors import StoreError, UsageError, nearest
from core.jobs._desk import Desk
from core.store.file import CREATE_COMMAND
from core.store.reader import Reader

__all__ = ["chosen", "close", "database", "desk_of", "moment", "source_of", "span"]

_LATEST_MS = parse_time("2100-01-01")


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
async def desk_of(
    arguments: argparse.Namespace, offline: bool = False, exchange: str = "", creates: bool = False
) -> AsyncIterator[Desk]:
    """Open a desk for one command and close all of it behind.

    Parameters
    ----------
    arguments : argparse.Namespace
    offline : bool
        With a market that is never asked.
    exchange : str
        Record rows under this exchange instead of the configured one; offline only.
    creates : bool
        Create the database where there is none: for commands that fill it.

    Raises
    ------
    StoreError
        There is no database, and this command only makes sense on one.
    """
    source = source_of(arguments)
    path = database(source.current)
    if not creates and not path.exists():
        # Most often app.db_path or the profile is not the one that was meant: an empty database would hide that.
        raise StoreError(f"database {path} does not exist; create it with `{CREATE_COMMAND}`")
    market = app.offline_market(source.current, exchange, Reader(path)) if offline else None
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


def span(arguments: argparse.Namespace) -> tuple[int | None, int | None]:
    """Return `--start` and `--end` in UTC milliseconds, None where not given.

    Raises
    ------
    UsageError
        One is no moment, or the first is not before the second.
    """
    start_ms, end_ms = moment("--start", arguments.start), moment("--end", arguments.end)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise UsageError(f"--start {arguments.start} is not before --end {arguments.end}")
    return start_ms, end_ms


def moment(option: str, text: str | None) -> int | None:
    """Return a moment in UTC milliseconds, None where none was given.

    Raises
    ------
    UsageError
        The text is no moment, or one that no candle can have.
    """
    if text is None:
        return None
    try:
        moment_ms = parse_time(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error
    if not 0 <= moment_ms < _LATEST_MS:
        raise UsageError(f"{option} {text}: expected a moment from 1970 to 2099")
    return moment_ms
