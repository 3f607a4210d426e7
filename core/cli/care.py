"""Commands that look after the engine: maintain, config, symbols.

The law: they change nothing but what they name.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from core import app
from core.cli._open import chosen, desk_of, source_of
from core.cli._told import ended
from core.config import config_hash, config_to_yaml, redacted
from core.errors import StoreError, UsageError
from core.jobs import maintain as maintain_job
from core.jobs._desk import Desk
from core.store.looks import unsound

__all__ = ["config", "maintain", "symbols"]


def maintain(arguments: argparse.Namespace) -> int:
    """Do the daily upkeep now, or the parts that are named, and say what it did."""
    chosen_parts = [name for name in ("retention", "vacuum", "backup") if getattr(arguments, name)]
    if not chosen_parts and not arguments.check:
        chosen_parts = [name for name in maintain_job.PARTS if name != "backup"]
    elif chosen_parts and "db_checkpoint" not in chosen_parts:  # what they did is in the log so far
        chosen_parts = [name for name in maintain_job.PARTS if name in (*chosen_parts, "db_checkpoint")]

    async def work() -> int:
        async with desk_of(arguments, offline=True) as desk:
            code = await _kept_up(arguments, desk, chosen_parts) if chosen_parts else 0
            return code or (_checked(desk) if arguments.check else 0)

    return asyncio.run(work())


async def _kept_up(arguments: argparse.Namespace, desk: Desk, parts: list[str]) -> int:
    """Do some parts of the upkeep, and say sizes before and after."""
    before = _sizes(desk)
    report = await maintain_job.run_parts(desk, desk.market.now_ms(), parts)
    code = ended(arguments, report)
    if report.text:
        print(report.text)
    print(f"before: {before}\nafter:  {_sizes(desk)}")
    return code


def _sizes(desk: Desk) -> str:
    size, log = desk.writer.path.stat().st_size, desk.writer.log_bytes()
    return f"file {size / 1e6:,.1f} MB, write-ahead log {log / 1e6:,.1f} MB"


def _checked(desk: Desk) -> int:
    """Say whether the file is sound."""
    faults = unsound(desk.writer.path, deep=True)
    if faults:
        raise StoreError(f"database {desk.writer.path}: damaged ({'; '.join(faults)}); restore a back-up")
    print("check: sound, every index agrees with its table")
    return 0


def config(arguments: argparse.Namespace) -> int:
    """Check the configuration, or show it with secrets hidden."""
    current = source_of(arguments).current
    if arguments.action == "show":
        sys.stdout.write(config_to_yaml(redacted(current)))
    else:
        app.check_config(current)
        print(f"{arguments.config}: fine ({len(current.symbols)} symbols, hash {config_hash(current)})")
    return 0


def symbols(arguments: argparse.Namespace) -> int:
    """List the symbols, or pause and resume one."""
    if arguments.action != "list" and not arguments.symbol:
        raise UsageError(f"symbols {arguments.action}: name the symbol, such as BTC/USDT:USDT")

    async def work() -> int:
        async with desk_of(arguments, offline=True) as desk:
            known = list(desk.config.symbols)
            if arguments.symbol:
                chosen([arguments.symbol], known, "symbol")
            if arguments.action == "pause":
                desk.writer.set_symbol_off(desk.exchange, arguments.symbol, "paused by hand", desk.market.now_ms())
            elif arguments.action == "resume":
                desk.writer.clear_symbol_off(desk.exchange, arguments.symbol)
            off = desk.reader.symbols_off(desk.exchange).set_index("symbol")["reason"].to_dict()
            for symbol in known:
                print(f"{symbol:<20} {'off: ' + off[symbol] if symbol in off else 'followed'}")
            return 0

    return asyncio.run(work())
