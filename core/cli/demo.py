"""The command demo: the whole engine on a market made here, from an empty database to closed trades.

The law: it uses the commands' own jobs on the profile `demo`; whatever it prints says synthetic.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from core import app
from core.adapters.markets.replay import ReplayMarket
from core.adapters.markets.synthetic import make_tape
from core.cli._open import close, database, source_of
from core.cli.engine import only_one, refreshed
from core.clock import DAY_MS, format_ms, monotonic_s
from core.config import ConfigSource
from core.errors import ConfigError, StoreError
from core.jobs import resample, retro
from core.jobs._desk import Desk, Report
from core.jobs.analyze import analyze
from core.jobs.schedule import Schedule
from core.jobs.transfer import import_rows
from core.schema import Candles, FloatArray
from core.store.reader import Reader

__all__ = ["demo"]

HISTORY_DAYS = 60
BATCH_ROWS = 20_000


def demo(arguments: argparse.Namespace) -> int:
    """Build the demo's database, scan its past, play the days after it live, and sum up."""
    arguments.profile = arguments.profile or "demo"
    source = source_of(arguments)
    path = database(source.current)
    with only_one(path):
        _refuse_real(source, path)
        for old in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            old.unlink(missing_ok=True)
        return asyncio.run(_demo(arguments, source, path))


def _refuse_real(source: ConfigSource, path: Path) -> None:
    """Make sure that what the demo replaces is a demo's."""
    exchange = source.current.exchange.id
    if exchange != "synthetic":
        raise ConfigError(f"exchange.id = {exchange}: the demo plays a synthetic market; try --profile demo")
    if not path.exists() or not path.stat().st_size:
        return
    held = set(Reader(path).series()["exchange"]) - {"synthetic"}
    if held:
        raise StoreError(
            f"database {path}: holds candles of {', '.join(sorted(held))}, and the demo replaces its database; "
            "name another file in app.db_path of its profile"
        )


async def _demo(arguments: argparse.Namespace, source: ConfigSource, path: Path) -> int:
    made = source.current.exchange.synthetic
    say(f"1/4 generating a SYNTHETIC market: {made.days} days, world '{made.world}', seed {made.seed}")
    symbols = list(source.current.symbols)
    tape = make_tape(made.world, symbols, made.start_ms, made.days, made.seed, made.p_star)
    live_from = made.start_ms + HISTORY_DAYS * DAY_MS
    market = ReplayMarket(tape, "synthetic", start_ms=live_from, synthetic=True)
    desk = app.open_desk(source, logging.getLogger("trader"), market)
    try:
        desk.writer.put_instruments(list(tape.instruments("synthetic").values()))
        for symbol in symbols:
            candles = tape.series[symbol].candles.between(None, live_from)
            say(f"    {import_rows(desk, symbol, partial(_batches, candles), 'synthetic tape')}")
        say(f"2/4 retro scan over the {HISTORY_DAYS} days before {format_ms(live_from)}")
        await resample.run(desk, live_from)
        request = retro.RetroRequest(0, live_from, symbols, list(desk.config.timeframes))
        say(f"    {await retro.run(desk, live_from, request)}")
        say("3/4 the live engine over the days after it, as fast as it keeps up (Ctrl-C ends it early)")
        await _live(desk, source, arguments.seconds)
        say("4/4 what came of it (SYNTHETIC market, UNGATED signals)")
        say(analyze(desk.reader, desk.config, path.with_name("demo_equity.csv")))
        say("\nThe viewer on this database:  make dashboard PROFILE=demo   (http://127.0.0.1:8501)")
        return 0
    finally:
        await close(desk)


async def _live(desk: Desk, source: ConfigSource, seconds: int) -> None:
    """Play the rest of the tape through the scheduler, for about so many seconds."""
    until = monotonic_s() + seconds
    counted = {"closes": 0, "signals": 0, "filled": 0, "finished": 0}

    def on_cycle(now_ms: int, reports: list[Report]) -> None:
        for report in reports:
            for name in counted:
                counted[name] += report.counts.get(name, 0)
        if monotonic_s() > until:
            schedule.stop()
        if now_ms % DAY_MS == 0:
            say(f"--- {format_ms(now_ms)} (SYNTHETIC) ---")

    schedule = Schedule(desk, lambda now: refreshed(now, source), on_cycle)
    await schedule.run()
    told = ", ".join(f"{count} {name}" for name, count in counted.items())
    say(f"    {schedule.cycles} minutes played up to {format_ms(desk.market.now_ms())}: {told}")


def _batches(candles: Candles) -> Iterator[FloatArray]:
    columns = (candles.ts, candles.open, candles.high, candles.low, candles.close, candles.volume, candles.taker_volume)
    for lo in range(0, len(candles), BATCH_ROWS):
        yield np.column_stack([column[lo : lo + BATCH_ROWS] for column in columns])


def say(text: str) -> None:
    """Print at once, so that a person sees it come."""
    print(text, flush=True)
