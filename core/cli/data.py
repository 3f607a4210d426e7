"""Commands that fill and look into the database: init-db, db-inspect, download-data.

The law: each may be run again at any time; what is there already stays as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from functools import partial
from pathlib import Path

from tqdm import tqdm

from core.cli._open import chosen, database, desk_of, source_of, span
from core.cli._told import ended
from core.clock import format_ms
from core.config import NAME_EXPECTED, is_name
from core.errors import InputFileError, UsageError
from core.store.migrations import migrate
from core.store.reader import Reader

__all__ = ["db_inspect", "download_data", "export_name", "init_db"]

# What an option is for: "" is the download from the exchange. Taken elsewhere it would be passed over in silence.
_FITTING = {
    "--symbol": ("--import",),
    "--exchange": ("--import",),
    "--timeframe": ("--export",),
    "--force": ("--export",),
    "--start": ("", "--export"),
    "--end": ("", "--export"),
}


def init_db(arguments: argparse.Namespace) -> int:
    """Create the database, or bring it up to this version."""
    path = database(source_of(arguments).current)
    path.parent.mkdir(parents=True, exist_ok=True)
    print(migrate(path, dry_run=arguments.dry_run))
    return 0


def db_inspect(arguments: argparse.Namespace) -> int:
    """Count and measure what the database holds."""
    print(Reader(database(source_of(arguments).current)).summary())
    return 0


def download_data(arguments: argparse.Namespace) -> int:
    """Back-fill from the exchange, or import or export files."""
    if arguments.source and arguments.target:
        raise UsageError("--import and --export: one at a time")
    mode = "--import" if arguments.source else "--export" if arguments.target else ""
    for option, fitting in _FITTING.items():
        if getattr(arguments, option[2:]) and mode not in fitting:
            raise UsageError(f"{option} goes with {' or '.join(one or 'a download' for one in fitting)}")
    if arguments.exchange is not None and not is_name(arguments.exchange):
        raise UsageError(f"--exchange '{arguments.exchange}': expected {NAME_EXPECTED}, such as binance")
    work = _import if arguments.source else _export if arguments.target else _backfill
    return asyncio.run(work(arguments))


async def _import(arguments: argparse.Namespace) -> int:
    from core.adapters.markets import files
    from core.jobs.transfer import import_rows

    path = Path(arguments.source)
    if not path.exists():
        raise InputFileError(f"{path}: no such file or folder")
    async with desk_of(arguments, offline=True, exchange=arguments.exchange or "", creates=True) as desk:
        if arguments.symbol:
            chosen([arguments.symbol], list(desk.config.symbols), "symbol")
        table = {arguments.symbol: path} if arguments.symbol else desk.config.exchange.replay.files
        named = None if arguments.symbol else path
        mapped = files.map_files(named, table, desk.config.symbols, skip_others=True)
        for symbol in chosen(arguments.symbols, sorted(mapped), "symbol"):
            with tqdm(unit=" rows", unit_scale=True, desc=symbol, dynamic_ncols=True, disable=None) as bar:
                batches = partial(files.iter_rows, mapped[symbol])
                report = import_rows(desk, symbol, batches, str(path), progress=bar.update)
            print(report)
    return 0


async def _export(arguments: argparse.Namespace) -> int:
    from core.adapters.markets.files import write_candles

    start_ms, end_ms = span(arguments)
    timeframe = arguments.timeframe or "1m"
    async with desk_of(arguments, offline=True) as desk:
        data = desk.config.data
        chosen([timeframe], [data.base_timeframe, *data.derived_timeframes, *desk.config.timeframes], "timeframe")
        folder = Path(arguments.target)
        folder.mkdir(parents=True, exist_ok=True)
        for symbol in chosen(arguments.symbols, list(desk.config.symbols), "symbol"):
            candles = desk.reader.candles(desk.exchange, symbol, timeframe, start_ms, end_ms)
            if not len(candles):
                print(f"{symbol}: no {timeframe} candles stored")
                continue
            target = folder / export_name(desk.exchange, symbol, timeframe)
            write_candles(target, candles, force=arguments.force)
            print(f"{symbol}: {len(candles):,} candles to {target}")
    return 0


def export_name(exchange: str, symbol: str, timeframe: str) -> str:
    """Return the name of an exported file: a plain one on every system, whatever a symbol is called.

    Examples
    --------
    >>> export_name("bitget", "BTC/USDT:USDT", "1m")
    'bitget_BTCUSDT-USDT_1m.parquet'
    """
    plain = re.sub(r"[^\w.-]", "_", symbol.replace("/", "").replace(":", "-"))
    return f"{exchange}_{plain[:80]}_{timeframe}.parquet"


async def _backfill(arguments: argparse.Namespace) -> int:
    from core.jobs import backfill, resample

    start_ms, end_ms = span(arguments)
    async with desk_of(arguments, creates=True) as desk:
        desk.symbols = chosen(arguments.symbols, desk.symbols, "symbol")
        now_ms = desk.market.now_ms()
        if start_ms is not None and start_ms >= now_ms:
            raise UsageError(f"--start {arguments.start} lies in the future; the market's time is {format_ms(now_ms)}")
        with tqdm(unit=" minutes", unit_scale=True, desc="back-fill", dynamic_ncols=True, disable=None) as bar:

            def progress(done: int, total: int, per_second: float) -> None:
                bar.total = total
                bar.set_postfix_str(f"{per_second:,.0f} candles/s", refresh=False)
                bar.update(done - bar.n)

            report = await backfill.run(desk, min(now_ms, end_ms or now_ms), start_ms, progress)
        await resample.run(desk, now_ms)
        return ended(arguments, report)
