"""Commands that decide and play: run, scan-signals, analyze-results, stress.

The law: a command opens a desk, calls the jobs the scheduler calls, and prints what they report.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from functools import partial
from pathlib import Path

from tqdm import tqdm

from core import app
from core.cli._hints import show
from core.cli._lock import only_one
from core.cli._log import hide_secrets, log_to_files
from core.cli._open import close, database, desk_of, source_of, span
from core.cli._told import ended
from core.clock import format_ms
from core.config import ConfigSource
from core.errors import CredentialsError, DiskError, NotifierError, StoreError
from core.jobs import execute, resample, scan
from core.jobs._announce import note_rows
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court, note_gating
from core.jobs._pulse import Pulse
from core.jobs._watchdog import TAPE_PATIENCE, Watchdog
from core.jobs.schedule import Schedule
from core.jobs.weekly import Weekly
from core.store.reader import Reader

__all__ = ["UNWATCHED_S", "analyze_results", "only_one", "refreshed", "run", "scan_signals", "stress"]

CLOSE_SECONDS = 1.0
LINGER_SECONDS = 1.0
UNWATCHED_S = 600.0
"""Silence that `trader health` takes for a standstill where there is no watchdog."""

_BROKEN = "configuration error"
# What was opened with the process: the database, the log, the market and the messengers.
_AT_START = (
    *("app.data_dir", "app.db_path", "app.log_", "app.watchdog_minutes", "exchange.", "notify.console"),
    *("notify.telegram.enabled", "notify.telegram.base_url"),
    *("notify.telegram.bot_token", "notify.telegram.chat_id"),
)


def run(arguments: argparse.Namespace) -> int:
    """Run the engine until a signal ends it, or for one cycle."""
    source = source_of(arguments)
    with only_one(database(source.current)):
        watchdog = Watchdog(0.0, logging.getLogger("trader"))
        try:
            return asyncio.run(_run(arguments, source, watchdog))
        finally:
            watchdog.stop()


async def _run(arguments: argparse.Namespace, source: ConfigSource, watchdog: Watchdog) -> int:
    log_to_files(source.current)
    log = logging.getLogger("trader")
    desk = app.open_desk(source, log)
    try:
        kind = "SYNTHETIC market" if desk.market.synthetic else desk.exchange
        log.info("%s, %d symbols, %s: started", kind, len(desk.symbols), " ".join(desk.config.timeframes))
        log.info(_in_force(desk))
        _note(desk)
        limit_s = desk.config.app.watchdog_minutes * 60 * (1 if desk.market.live else TAPE_PATIENCE)
        watchdog.limit_s = limit_s
        schedule = Schedule(
            desk,
            lambda now: refreshed(now, source),
            on_cycle=partial(_tell, desk),
            weekly=Weekly(),
            watchdog=watchdog,
            pulse=Pulse(database(source.current), limit_s or UNWATCHED_S, app.open_pinger(log)),
        )
        checking = asyncio.create_task(_check_channels(desk))
        if arguments.once:
            reports = await schedule.once()
            await checking
            if not reports:
                log.info("the tape has ended: there is nothing left to play")
            return ended(arguments, *reports, shown=True)
        await schedule.run(arguments.asked_to_end.is_set)
        checking.cancel()
        log.info("stopped after %d cycles", schedule.cycles)
        return 0
    finally:
        await _close(desk)
        if sys.exc_info()[0] is None:  # all is done: a thread that hangs (a name server that does not answer) may go
            watchdog.expect_end(LINGER_SECONDS, code=0)


async def _close(desk: Desk) -> None:
    """Release everything; a connection that does not close keeps nobody, and the database closes in any case."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await close(desk)
    except TimeoutError:
        desk.log.warning("a connection does not close; it is left to the end of the process")
        desk.writer.close()


def _in_force(desk: Desk) -> str:
    """Say who judges."""
    version = Court(desk).champion_at(desk.market.now_ms()) if desk.features is not None else ""
    if version:
        return f"model {version} is in force"
    return "no model is in force: signals are UNGATED, proposed by the rule and filtered by nothing"


async def _check_channels(desk: Desk) -> None:
    """Say at the start which messengers cannot be used; alerts for them wait, and nothing else does."""
    for notifier in desk.notifiers.values():
        try:
            await notifier.check()
        except (NotifierError, CredentialsError) as error:
            desk.log.error("%s; the engine goes on and its alerts wait", error)


def refreshed(desk: Desk, source: ConfigSource) -> Desk:
    """Read the configuration again and return the desk to go on with; say what changed."""
    after, reload = app.refresh(desk, source)
    if reload.error:
        if reload.error != desk.memory.get(_BROKEN):  # once, not every minute until it is mended
            desk.log.error("configuration kept as it was: %s", reload.error)
            words = f"The configuration on disk cannot be used, the last good one stays: {reload.error}"
            _tell_people(desk, "broken", words)
        desk.memory[_BROKEN] = reload.error
        return after
    if desk.memory.pop(_BROKEN, None):
        if not reload.changed:
            desk.log.info("configuration mended: the one in force is the one in the file")
        _tell_people(desk, "mended", "The configuration on disk can be used again, and is in force.")
    if reload.changed:
        hide_secrets(after.config)
        desk.log.info("configuration changed: %s", "; ".join(reload.diff))
        waiting = [line.split(":")[0] for line in reload.diff if line.startswith(_AT_START)]
        if waiting:
            desk.log.warning("%s: used from the next start on", ", ".join(waiting))
    _note(after)
    return after


def _tell_people(desk: Desk, what: str, text: str) -> None:
    now_ms = desk.market.now_ms()
    try:
        desk.writer.queue(note_rows(f"configuration:{what}:{now_ms}", text, list(desk.notifiers), now_ms))
    except (StoreError, DiskError) as error:  # the log has it
        desk.log.warning("messages: %s", error)


def _note(desk: Desk) -> None:
    """Record the thresholds in force, where they differ from those on record."""
    try:
        note_gating(desk, desk.market.now_ms())
    except (StoreError, DiskError) as error:  # noted a minute later
        desk.log.warning("thresholds: %s", error)


def _tell(desk: Desk, now_ms: int, reports: list[Report]) -> None:
    zone = desk.config.app.timezone
    busy = [str(report) for report in reports if any(report.counts.values())]
    desk.log.info("%s  %s", format_ms(now_ms, zone), " | ".join(busy) or "nothing new")


def scan_signals(arguments: argparse.Namespace) -> int:
    """Resample, execute and scan what is stored, once."""

    async def work() -> int:
        async with desk_of(arguments, offline=True) as desk:
            now_ms = desk.market.now_ms()
            return ended(arguments, *[await stage(desk, now_ms) for stage in (resample.run, execute.run, scan.run)])

    return asyncio.run(work())


def analyze_results(arguments: argparse.Namespace) -> int:
    """Print the results and write the equity curve."""
    from core.jobs.analyze import analyze

    source = source_of(arguments)
    reader = Reader(database(source.current))
    show(arguments, analyze(reader, source.current, Path(arguments.out), exit_policy=arguments.exit_policy))
    return 0


def stress(arguments: argparse.Namespace) -> int:
    """Print the results under other assumptions, side by side."""
    from core.jobs.stress import StressRequest, stress_text
    from core.results.variants import VARIANTS

    start_ms, end_ms = span(arguments)
    request = StressRequest(
        symbols=arguments.symbols or (),
        timeframes=arguments.timeframes or (),
        start_ms=start_ms,
        end_ms=end_ms,
        exit_policy=arguments.exit_policy,
        variants=arguments.variants or VARIANTS,
    )
    reader = Reader(database(source_of(arguments).current))
    with tqdm(unit="part", desc="stress", dynamic_ncols=True, disable=None) as bar:

        def progress(done: int, total: int, symbol: str) -> None:
            bar.total = total
            bar.set_postfix_str(symbol, refresh=False)
            bar.update(done - bar.n)

        text = stress_text(reader, request, progress)
    show(arguments, text)
    return 0
