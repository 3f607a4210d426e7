"""The command demo: the whole engine on a market made here, from an empty database to closed trades.

The law: it uses the commands' own jobs on the profile `demo`; whatever it prints says synthetic.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from core import app
from core.adapters.markets.replay import ReplayMarket
from core.adapters.markets.synthetic import make_tape
from core.cli._hints import given, spelled
from core.cli._open import close, database, source_of
from core.cli._options import CONFIG
from core.cli.engine import UNWATCHED_S, only_one, refreshed
from core.clock import DAY_MS, format_ms, monotonic_s
from core.config import ConfigSource
from core.errors import ConfigError, StoreError
from core.jobs import calibrate, resample, retro, train, tune
from core.jobs._desk import Desk, Report
from core.jobs._pulse import Pulse
from core.jobs.analyze import analyze
from core.jobs.schedule import Schedule
from core.jobs.transfer import import_rows
from core.jobs.weekly import Weekly
from core.schema import Candles, FloatArray
from core.store import artefacts
from core.store.writer import Writer

__all__ = ["demo"]

LIVE_DAYS = 5
"""Days at the end of the tape that are left for the live engine."""

BATCH_ROWS = 20_000
STEPS = 7


def demo(arguments: argparse.Namespace) -> int:
    """Build the demo's database, learn from its past, play the days after it live, and sum up."""
    arguments.profile = arguments.profile or "demo"
    if arguments.world:
        os.environ["TRADER__EXCHANGE__SYNTHETIC__WORLD"] = arguments.world
    source = source_of(arguments)
    path = database(source.current)
    with only_one(path):
        _refuse_real(source, path)
        for old in path.parent.glob(f"{path.name}*"):
            if old.name.removeprefix(path.name).startswith(("-wal", "-shm", ".bak-v", ".heartbeat")) or old == path:
                old.unlink(missing_ok=True)
        artefacts.prune(source.current.models.meta.model_path, keep=())
        return asyncio.run(_demo(arguments, _own_copy(source, path.with_suffix(".yaml")), path))


def _own_copy(source: ConfigSource, copy: Path) -> ConfigSource:
    """Return the same configuration from a copy of its last file: tuning writes thresholds into it."""
    path, environ, overlays = source.files
    shutil.copyfile(source.target, copy)
    return ConfigSource(path, environ, [*overlays[:-1], copy])


def _refuse_real(source: ConfigSource, path: Path) -> None:
    """Make sure that what the demo replaces is a demo's."""
    exchange = source.current.exchange.id
    if exchange != "synthetic":
        raise ConfigError(f"exchange.id = {exchange}: the demo plays a synthetic market; try --profile demo")
    if not path.exists() or not path.stat().st_size:
        return
    with Writer(path) as writer:  # one that an older version has left is brought up to date first
        held = set(writer.reader.series()["exchange"]) - {"synthetic"}
    if held:
        raise StoreError(
            f"database {path}: holds candles of {', '.join(sorted(held))}, and the demo replaces its database; "
            "name another file in app.db_path of its profile"
        )


async def _demo(arguments: argparse.Namespace, source: ConfigSource, path: Path) -> int:
    made = source.current.exchange.synthetic
    _step(1, f"generating a SYNTHETIC market: {made.days} days, world '{made.world}', seed {made.seed}")
    symbols = list(source.current.symbols)
    tape = make_tape(made.world, symbols, made.start_ms, made.days, made.seed, made.p_star)
    live_from = made.start_ms + (made.days - LIVE_DAYS) * DAY_MS
    market = ReplayMarket(tape, "synthetic", start_ms=live_from, synthetic=True)
    desk = app.open_desk(source, logging.getLogger("trader"), market)
    try:
        app.note_made(desk.config, desk.writer)
        desk.writer.put_instruments(list(tape.instruments("synthetic").values()))
        for symbol in symbols:
            candles = tape.series[symbol].candles.between(None, live_from)
            say(f"    {import_rows(desk, symbol, partial(_batches, candles), 'synthetic tape')}")
        await resample.run(desk, live_from)
        request = retro.RetroRequest(0, live_from, symbols, list(desk.config.timeframes))
        _step(
            2, f"retro scan of {made.days - LIVE_DAYS} days: every candidate is described and played minute by minute"
        )
        say(f"    {await retro.run(desk, live_from, request)}")
        _step(3, "learning p(win): walk-forward, then the model (about half a minute)")
        _tell(await train.run(desk, live_from, progress=_blocks))
        _step(4, "calibrating, and looking for thresholds with evidence")
        _tell(await calibrate.run(desk, live_from))
        _tell(await tune.run(desk, live_from))
        _step(5, "judging the past with what was said of it out of sample")
        say(f"    {await retro.run(desk, live_from, request)}")
        desk, _ = app.refresh(desk, source)
        _step(6, f"the live engine from {format_ms(live_from)} on, as fast as it keeps up (Ctrl-C ends it early)")
        await _live(desk, source, arguments.seconds)
        _step(7, f"what came of it (SYNTHETIC market, world '{made.world}')")
        say(analyze(desk.reader, desk.config, path.with_name("demo_equity.csv")))
        _closing(desk, arguments, path)
        return 0
    finally:
        await close(desk)


def _step(number: int, text: str) -> None:
    say(f"{number}/{STEPS} {text}")


def _tell(report: Report) -> None:
    for line in report.text.splitlines():
        say(f"    {line}")


def _blocks(done: int, total: int) -> None:
    if done == total or done % 6 == 0:
        say(f"    {done} of {total} blocks")


def _closing(desk: Desk, arguments: argparse.Namespace, path: Path) -> None:
    """Say where to look next."""
    options = given(arguments)
    newest = desk.reader.signals(exchange=desk.exchange, origin="live", limit=1, columns=["id"])
    for number in newest["id"]:
        say(f"\nOne decision explained:     {spelled(f'python -m core why {number}', options)}")
    say(f"From closes to wins:         {spelled('python -m core funnel', options)}")
    say(f"What was said, what came:    {spelled('python -m core reliability', options)}")
    say(f"Tuned thresholds:            {path.with_suffix('.yaml')}, a copy of the profile made for this run")
    viewer = f"make dashboard PROFILE={arguments.profile}"
    if arguments.config != CONFIG:
        viewer = f"TRADER_CONFIG={shlex.quote(arguments.config)} {viewer}"
    say(f"The viewer on this database: {viewer}   (http://127.0.0.1:8501)")


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

    pulse = Pulse(database(source.current), UNWATCHED_S)
    schedule = Schedule(desk, lambda now: refreshed(now, source), on_cycle, Weekly(), pulse=pulse)
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
