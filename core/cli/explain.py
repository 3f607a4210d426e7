"""Commands that explain: why, whynot, funnel, reliability.

The law: they read and print; nothing is decided and nothing is written.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from core.cli._hints import show
from core.cli._open import chosen, desk_of, moment, span
from core.errors import UsageError
from core.jobs._desk import Desk, Report

__all__ = ["funnel", "reliability", "why", "whynot"]


def why(arguments: argparse.Namespace) -> int:
    """Explain one candidate."""
    from core.jobs import why as job

    text = arguments.id.removeprefix("#")
    if not text.isdecimal():
        raise UsageError(f"signal '{arguments.id}': expected its number, such as 12 or #12")
    return _on_desk(arguments, lambda desk, now_ms: job.run(desk, now_ms, int(text)))


def whynot(arguments: argparse.Namespace) -> int:
    """Explain why a close has no signal."""
    from core.jobs import whynot as job

    at_ms = moment("TIME", arguments.time)
    return _on_desk(arguments, lambda desk, now_ms: job.run(desk, now_ms, arguments.symbol, arguments.timeframe, at_ms))


def funnel(arguments: argparse.Namespace) -> int:
    """Count candidates from close to result."""
    from core.jobs import funnel as job

    start_ms, end_ms = span(arguments)

    def work(desk: Desk, _now_ms: int) -> Awaitable[Report]:
        series = desk.reader.series()
        symbols = chosen(arguments.symbols, sorted({*desk.config.symbols, *series["symbol"]}), "symbol")
        timeframes = chosen(arguments.timeframes, sorted({*desk.config.timeframes, *series["timeframe"]}), "timeframe")
        return job.run(desk, job.FunnelRequest(symbols, timeframes, start_ms, end_ms))

    return _on_desk(arguments, work)


def reliability(arguments: argparse.Namespace) -> int:
    """Say how far predictions were borne out."""
    from core.jobs import reliability as job

    return _on_desk(arguments, lambda desk, _now_ms: job.run(desk, arguments.by or ""))


def _on_desk(arguments: argparse.Namespace, work: Callable[[Desk, int], Awaitable[Report]]) -> int:
    async def run() -> int:
        async with desk_of(arguments, offline=True) as desk:
            show(arguments, (await work(desk, desk.market.now_ms())).text)
        return 0

    return asyncio.run(run())
