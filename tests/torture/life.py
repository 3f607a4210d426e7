"""One life of an engine: opened as the command line opens it, from faulty parts, until it dies or the market ends.

The law: the engine is the product's, built by `core.app` and driven through its jobs; only the parts around it (the
market, the messenger, the writer, the disk) are the rig's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import yaml

import core.adapters.notifiers.console  # noqa: F401 imported before anything is forked
from core import app
from core.cli.engine import only_one
from core.config import ConfigSource, load_config
from core.config.rewrite import propose, replace
from core.errors import AlreadyRunning, ConfigError, DiskError, StoreError, TraderError
from core.jobs import alert, cycle, maintain, retro
from core.jobs._desk import Desk
from core.jobs.retro import RetroRequest
from core.jobs.schedule import Schedule
from tests.torture.board import CUT, TERM, Board
from tests.torture.disk import Disk
from tests.torture.market import FaultyMarket
from tests.torture.messenger import CHANNEL, FaultyNotifier
from tests.torture.plan import Plan
from tests.torture.world import SYMBOLS, World, traded_setups
from tests.torture.writing import writer_of

__all__ = ["CHECKPOINT_TICKS", "Home", "intrude", "live", "scan_beside"]

CHECKPOINT_TICKS = 15
_MOST_WRITES = 40  # of a minute before its disk is full
_DRAIN_MS = 60_000
_DRAINS = 400


@dataclass(frozen=True, slots=True)
class Home:
    """The files of one run."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def database(self) -> Path:
        return self.folder / "ohlcv.db"

    @property
    def chat(self) -> Path:
        return self.folder / "chat.jsonl"

    @property
    def told(self) -> Path:
        return self.folder / "told.jsonl"

    @property
    def met(self) -> Path:
        return self.folder / "met.jsonl"

    @property
    def trace(self) -> Path:
        return self.folder / "trace"


def quiet() -> logging.Logger:
    """Return a log that nobody reads."""
    log = logging.getLogger("torture")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    return log


def live(home: Home, world: World, plan: Plan, board: Board, kind: int, prepare: Callable[[], None]) -> int:
    """Run an engine to its death or the end of the market; return its exit code."""
    met: Counter[str] = Counter()
    writes: Counter[int] = Counter()
    disk = Disk(kind == CUT, lambda: _is_full(plan, board, met, writes), board.reach)
    rng = random.Random(f"{plan.seed} {board['tick']}")
    board.settle = partial(_settle, home, disk, met)
    board.cut = partial(_cut, home, disk, met, rng)
    _watch_replace(board, home)
    app.Writer, app.build_setups = writer_of(board, home.told), traded_setups
    prepare()
    try:
        with only_one(home.database):
            board["ready"] = 1
            asyncio.run(_run(home, world, plan, board, kind, met))
    except (AlreadyRunning, ConfigError, DiskError, StoreError) as error:
        _note(home, met)
        return error.exit_code
    _note(home, met)
    return 0


async def _run(home: Home, world: World, plan: Plan, board: Board, kind: int, met: Counter[str]) -> None:
    source = app.config_source(home.config, None, {})
    desk = app.open_desk(source, quiet(), FaultyMarket(world, plan, board, met))
    try:
        desk.notifiers = {CHANNEL: FaultyNotifier(plan, board, home.chat, met)}
        if kind == TERM:
            await Schedule(desk, partial(_refreshed, source, home, plan, board, met)).run()
            return
        while (now_ms := await desk.market.advance()) is not None:
            desk = _refreshed(source, home, plan, board, met, desk)
            await _minute(desk, now_ms, board)
        await _drain(desk, board)
    finally:
        with contextlib.suppress(apsw.FullError):  # of the last checkpoint, which SQLite itself passes over in silence
            desk.writer.close()


async def _minute(desk: Desk, now_ms: int, board: Board) -> None:
    board.reach("cycle.before")
    await cycle.run(desk, now_ms)
    board.reach("cycle.after")
    await _named(desk, alert.run)
    if board["tick"] % CHECKPOINT_TICKS == 0:
        await _named(desk, maintain.run)


async def _named(desk: Desk, job: Callable[[Desk, int], Any]) -> None:
    """Run a job as the schedule does: a failure that has a name is made good by its next run."""
    with contextlib.suppress(TraderError):
        await job(desk, desk.market.now_ms())


async def _drain(desk: Desk, board: Board) -> None:
    """Deliver what waits, minute by minute, once the market has ended."""
    for _ in range(_DRAINS):
        if desk.reader.outbox(state="queued").empty:
            return
        board["extra_ms"] += _DRAIN_MS
        await _named(desk, alert.run)


def _refreshed(source: ConfigSource, home: Home, plan: Plan, board: Board, met: Counter[str], desk: Desk) -> Desk:
    """Read the configuration again, as every cycle does; where it is the tick for it, change the file first."""
    tick, sound = board["tick"], home.folder / "sound.yaml"
    if tick in plan.broken and not sound.exists():
        met["config half written"] += 1
        text = home.config.read_text(encoding="utf-8")
        sound.write_text(text, encoding="utf-8")
        home.config.write_text(text[: len(text) // 2] + "\n  : [", encoding="utf-8")
    elif tick not in plan.broken and sound.exists():
        sound.replace(home.config)
    if tick in plan.rewritten:
        met["config rewritten"] += 1
        line = {"min_ev_pct": float(tick), "expires": "2030-01-01"}
        with contextlib.suppress(ConfigError, DiskError):
            replace(propose(source, {SYMBOLS[0]: {"5m": line}}))
    return app.refresh(desk, source)[0]


def _watch_replace(board: Board, home: Home) -> None:
    """Let a process die around the replacement of its configuration."""
    plain = os.replace

    def watched(src: Any, dst: Any, **options: Any) -> None:
        is_config = Path(dst) == home.config.resolve()
        if is_config:
            board.reach("config.replace.before")
        plain(src, dst, **options)
        if is_config:
            board.reach("config.replace.after")

    os.replace = watched


def _is_full(plan: Plan, board: Board, met: Counter[str], writes: Counter[int]) -> bool:
    """Whether a write fails: in some minutes the disk is full from a drawn write on."""
    tick = board["tick"]
    if tick not in plan.full:
        return False
    writes[tick] += 1
    is_full = writes[tick] > random.Random(f"full {plan.seed} {tick}").randrange(_MOST_WRITES)
    met["write on a full disk"] += is_full
    return is_full


def _settle(home: Home, disk: Disk, met: Counter[str]) -> None:
    disk.settle()
    _note(home, met)


def _cut(home: Home, disk: Disk, met: Counter[str], rng: random.Random) -> None:
    disk.cut(rng)
    _note(home, met)


def _note(home: Home, met: Counter[str]) -> None:
    with home.met.open("a", encoding="utf-8") as file:
        file.write(json.dumps(met) + "\n")


def scan_beside(home: Home, world: World, plan: Plan, board: Board, prepare: Callable[[], None]) -> int:
    """Scan in retrospect while an engine writes; return the exit code."""
    app.build_setups = traded_setups
    prepare()
    try:
        source = app.config_source(home.config, None, {})
        desk = app.open_desk(source, quiet(), FaultyMarket(world, Plan(plan.seed), board, Counter()))
    except (ConfigError, StoreError, DiskError) as error:
        return error.exit_code
    desk.notifiers = {CHANNEL: FaultyNotifier(Plan(plan.seed), board, home.chat, Counter())}
    now_ms = desk.market.now_ms()
    request = RetroRequest(world.start_ms, now_ms, list(SYMBOLS), list(desk.config.timeframes), jobs=1)
    try:
        asyncio.run(retro.run(desk, now_ms, request))
    except TraderError as error:
        return error.exit_code
    finally:
        desk.writer.close()
    return 0


def intrude(home: Home) -> int:
    """Start a second engine on the same database; return the exit code it ends with."""
    try:
        with only_one(home.database):
            time.sleep(0.05)
    except AlreadyRunning as error:
        return error.exit_code
    return 0


def is_sound(config: Path) -> bool:
    """Whether a configuration can be used."""
    try:
        load_config(config, {})
    except ConfigError:
        return False
    return yaml.safe_load(config.read_text(encoding="utf-8")) is not None
