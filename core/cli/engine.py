"""Commands that decide and play: run, scan-signals, retro-scan, analyze-results."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from core import app
from core.cli._log import hide_secrets, log_to_files
from core.cli._open import chosen, close, database, desk_of, source_of
from core.clock import format_ms, parse_time
from core.config import ConfigSource
from core.errors import AlreadyRunning, UsageError
from core.jobs import execute, resample, retro, scan
from core.jobs._desk import Desk, Report
from core.jobs.schedule import Schedule
from core.store.reader import Reader

__all__ = ["analyze_results", "retro_scan", "run", "scan_signals"]

END_OF_TIME_MS = 2**62


def run(arguments: argparse.Namespace) -> int:
    """Run the engine until a signal ends it, or for one cycle."""
    source = source_of(arguments)
    with only_one(database(source.current)):
        return asyncio.run(_run(arguments, source))


async def _run(arguments: argparse.Namespace, source: ConfigSource) -> int:
    log_to_files(source.current)
    log = logging.getLogger("trader")
    desk = app.open_desk(source, log)
    try:
        kind = "SYNTHETIC market" if desk.market.synthetic else desk.exchange
        log.info("%s, %d symbols, %s: started", kind, len(desk.symbols), " ".join(desk.config.timeframes))
        log.info("no model is in force: signals are UNGATED, proposed by the rule and filtered by nothing")
        schedule = Schedule(desk, lambda now: refreshed(now, source), on_cycle=partial(_tell, desk))
        if arguments.once:
            reports = await schedule.once()
            return 0 if all(report.ok for report in reports) else 1
        await schedule.run()
        log.info("stopped after %d cycles", schedule.cycles)
        return 0
    finally:
        await close(desk)


def refreshed(desk: Desk, source: ConfigSource) -> Desk:
    """Read the configuration again and return the desk to go on with; say what changed."""
    after, reload = app.refresh(desk, source)
    if reload.error:
        desk.log.error("configuration kept as it was: %s", reload.error)
    elif reload.changed:
        hide_secrets(after.config)
        desk.log.info("configuration changed: %s", "; ".join(reload.diff))
    return after


def _tell(desk: Desk, now_ms: int, reports: list[Report]) -> None:
    zone = desk.config.app.timezone
    busy = [str(report) for report in reports if any(report.counts.values())]
    desk.log.info("%s  %s", format_ms(now_ms, zone), " | ".join(busy) or "nothing new")


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the database's lock, so that one scheduler at a time writes it.

    Raises
    ------
    AlreadyRunning
        Another process holds it; its pid is named.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pid_file = path.with_name(path.name + ".pid")
    try:
        with FileLock(str(path) + ".lock", timeout=0):
            pid_file.write_text(str(os.getpid()), encoding="ascii")
            yield
            pid_file.unlink(missing_ok=True)
    except Timeout as error:
        pid = pid_file.read_text(encoding="ascii").strip() if pid_file.is_file() else "unknown"
        raise AlreadyRunning(f"{path}: another scheduler (pid {pid}) is running on this database") from error


def scan_signals(arguments: argparse.Namespace) -> int:
    """Resample, execute and scan what is stored, once."""

    async def work() -> int:
        async with desk_of(arguments, offline=True) as desk:
            now_ms = desk.market.now_ms()
            for stage in (resample.run, execute.run, scan.run):
                print(await stage(desk, now_ms))
            return 0

    return asyncio.run(work())


def retro_scan(arguments: argparse.Namespace) -> int:
    """Fill in signals and trades over stored candles."""
    start_ms = parse_time(arguments.start) if arguments.start else 0
    end_ms = parse_time(arguments.end) if arguments.end else END_OF_TIME_MS
    if start_ms >= end_ms:
        raise UsageError(f"--start {arguments.start} is not before --end {arguments.end}")

    async def work() -> int:
        async with desk_of(arguments, offline=True) as desk:
            request = retro.RetroRequest(
                start_ms=start_ms,
                end_ms=end_ms,
                symbols=chosen(arguments.symbols, list(desk.config.symbols), "symbol"),
                timeframes=chosen(arguments.timeframes, list(desk.config.timeframes), "timeframe"),
                stride=arguments.stride,
                limit_per_pair=arguments.limit_per_pair,
            )
            now_ms = desk.market.now_ms()
            await resample.run(desk, now_ms)
            with tqdm(unit="part", desc="retro scan", dynamic_ncols=True) as bar:

                def progress(done: int, total: int, symbol: str) -> None:
                    bar.total = total
                    bar.set_postfix_str(symbol, refresh=False)
                    bar.update(done - bar.n)

                report = await retro.run(desk, now_ms, request, progress)
            print(report)
            return 0 if report.ok else 1

    return asyncio.run(work())


def analyze_results(arguments: argparse.Namespace) -> int:
    """Print the results and write the equity curve."""
    from core.jobs.analyze import analyze

    source = source_of(arguments)
    reader = Reader(database(source.current))
    print(analyze(reader, source.current, Path(arguments.out), exit_policy=arguments.exit_policy))
    return 0
