"""Commands that fill and look into the database: init-db, db-inspect, download-data."""

from __future__ import annotations

import argparse
import asyncio
from functools import partial
from pathlib import Path

from tqdm import tqdm

from core.cli._open import chosen, database, desk_of, source_of
from core.clock import parse_time
from core.errors import InputFileError, UsageError
from core.store.migrations import migrate
from core.store.reader import Reader

__all__ = ["db_inspect", "download_data", "init_db"]


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
    if arguments.symbol and not arguments.source:
        raise UsageError("--symbol goes with --import; to choose what to download or export use --symbols")
    work = _import if arguments.source else _export if arguments.target else _backfill
    return asyncio.run(work(arguments))


async def _import(arguments: argparse.Namespace) -> int:
    from core.adapters.markets import files
    from core.jobs.transfer import import_rows

    path = Path(arguments.source)
    if not path.exists():
        raise InputFileError(f"{path}: no such file or folder")
    async with desk_of(arguments, offline=True, exchange=arguments.exchange or "") as desk:
        table = {arguments.symbol: path} if arguments.symbol else desk.config.exchange.replay.files
        named = None if arguments.symbol else path
        mapped = files.map_files(named, table, desk.config.symbols, skip_others=True)
        for symbol in chosen(arguments.symbols, sorted(mapped), "symbol"):
            with tqdm(unit=" rows", unit_scale=True, desc=symbol, dynamic_ncols=True) as bar:
                batches = partial(files.iter_rows, mapped[symbol])
                print(import_rows(desk, symbol, batches, str(path), progress=bar.update))
    return 0


async def _export(arguments: argparse.Namespace) -> int:
    from core.adapters.markets.files import write_candles

    start_ms, end_ms = _span(arguments)
    async with desk_of(arguments, offline=True) as desk:
        folder = Path(arguments.target)
        folder.mkdir(parents=True, exist_ok=True)
        for symbol in chosen(arguments.symbols, list(desk.config.symbols), "symbol"):
            candles = desk.reader.candles(desk.exchange, symbol, arguments.timeframe, start_ms, end_ms)
            if not len(candles):
                print(f"{symbol}: no {arguments.timeframe} candles stored")
                continue
            name = f"{desk.exchange}_{symbol.replace('/', '').replace(':', '-')}_{arguments.timeframe}.parquet"
            write_candles(folder / name, candles, force=arguments.force)
            print(f"{symbol}: {len(candles):,} candles to {folder / name}")
    return 0


async def _backfill(arguments: argparse.Namespace) -> int:
    from core.jobs import backfill, resample

    start_ms, end_ms = _span(arguments)
    async with desk_of(arguments) as desk:
        desk.symbols = chosen(arguments.symbols, desk.symbols, "symbol")
        with tqdm(unit=" minutes", unit_scale=True, desc="back-fill", dynamic_ncols=True) as bar:

            def progress(done: int, total: int, per_second: float) -> None:
                bar.total = total
                bar.set_postfix_str(f"{per_second:,.0f} candles/s", refresh=False)
                bar.update(done - bar.n)

            now_ms = desk.market.now_ms()
            report = await backfill.run(desk, min(now_ms, end_ms or now_ms), start_ms, progress)
        await resample.run(desk, now_ms)
        print(report)
        return 0 if report.ok else 1


def _span(arguments: argparse.Namespace) -> tuple[int | None, int | None]:
    start = parse_time(arguments.start) if arguments.start else None
    end = parse_time(arguments.end) if arguments.end else None
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--start {arguments.start} is not before --end {arguments.end}")
    return start, end
