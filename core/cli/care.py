"""Commands that look after the engine: maintain, config, symbols.

The law: they change nothing but what they name.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from core.cli._open import chosen, desk_of, source_of
from core.cli._told import ended
from core.config import config_hash, config_to_yaml, redacted
from core.errors import UsageError
from core.jobs import maintain as maintain_job

__all__ = ["config", "maintain", "symbols"]


def maintain(arguments: argparse.Namespace) -> int:
    """Checkpoint the write-ahead log and give free pages back."""

    async def work() -> int:
        async with desk_of(arguments, offline=True) as desk:
            return ended(await maintain_job.run(desk, desk.market.now_ms()))

    return asyncio.run(work())


def config(arguments: argparse.Namespace) -> int:
    """Check the configuration, or show it with secrets hidden."""
    current = source_of(arguments).current
    if arguments.action == "show":
        sys.stdout.write(config_to_yaml(redacted(current)))
    else:
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
