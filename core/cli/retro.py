"""Command retro-scan: fill in the past.

The law: it lives in a module of its own, so that a scan of the past, and each of its processes, starts without
what only the scheduler needs.
"""

from __future__ import annotations

import argparse
import asyncio

from tqdm import tqdm

import core.arrowless  # noqa: F401  # before whatever imports pandas
from core.cli._open import chosen, desk_of, span
from core.cli._told import ended
from core.errors import TraderError
from core.jobs import resample, retro
from core.jobs._desk import Desk

__all__ = ["retro_scan"]

END_OF_TIME_MS = 2**62


def retro_scan(arguments: argparse.Namespace) -> int:
    """Fill in signals and trades over stored candles."""
    start_ms, end_ms = span(arguments)

    async def work() -> int:
        async with desk_of(arguments, offline=True) as desk:
            request = retro.RetroRequest(
                start_ms=start_ms or 0,
                end_ms=END_OF_TIME_MS if end_ms is None else end_ms,
                symbols=chosen(arguments.symbols, list(desk.config.symbols), "symbol"),
                timeframes=chosen(arguments.timeframes, list(desk.config.timeframes), "timeframe"),
                stride=arguments.stride,
                limit_per_pair=arguments.limit_per_pair,
                jobs=arguments.jobs,
                cluster=arguments.cluster or "",
                model=arguments.model,
            )
            _expect_candles(desk, request)
            now_ms = desk.market.now_ms()
            await resample.run(desk, now_ms)
            with tqdm(unit="min", unit_scale=True, desc="retro scan", dynamic_ncols=True, disable=None) as bar:

                def progress(done: int, total: int, symbol: str) -> None:
                    bar.total = total
                    bar.set_postfix_str(symbol, refresh=False)
                    bar.update(done - bar.n)

                report = await retro.run(desk, now_ms, request, progress)
            return ended(arguments, report)

    return asyncio.run(work())


def _expect_candles(desk: Desk, request: retro.RetroRequest) -> None:
    base = desk.config.data.base_timeframe
    if all(desk.reader.first_ms(desk.exchange, symbol, base) is None for symbol in request.symbols):
        raise TraderError(
            f"database {desk.reader.path}: holds no {base} candle of {desk.exchange} to scan; "
            "fetch or import some with `python download_data.py`"
        )
