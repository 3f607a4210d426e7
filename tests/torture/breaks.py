"""How a plausible program would break a promise: one small change of the product for each, made in a child process.

The law: a change is made where the product decides, never in the judge; the first line of each says what is wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import apsw
import yaml

from core.clock import MINUTE_MS, floor_to, timeframe_ms
from core.config import rewrite
from core.errors import NotifierError, NotifierUnavailable, TraderError
from core.ingest import frontier as ingest
from core.ingest.clean import clean
from core.ingest.frontier import Series
from core.jobs import _series, alert, cycle, execute, scan, sync
from core.jobs._desk import Desk, Report
from core.ports import Message
from core.store import _maintain, _write_candles, _write_records, connection, migrations
from core.store._maintain import CheckpointReport
from tests.torture import life, market, messenger
from tests.torture.board import KILL
from tests.torture.plan import Death, Plan
from tests.torture.world import SYMBOLS, World
from tests.torture.writing import TellingWriter

__all__ = [
    "alert_in_its_own_transaction",
    "dies_behind",
    "empty_is_news",
    "fault_is_the_end",
    "flood_is_refusal",
    "frontier_first",
    "gaps_forgotten",
    "last_minute_only",
    "long_checkpoint",
    "long_pages",
    "long_silence",
    "marked_before_sent",
    "marked_in_bulk",
    "newest_close_only",
    "no_lock",
    "no_unique_key",
    "often_full",
    "open_candle_kept",
    "retro_often",
    "revisions_lost",
    "synchronous",
    "trades_given_up",
    "yaml_in_place",
]


def revisions_lost() -> None:
    """INSERT OR IGNORE: what was stored once is never corrected."""
    _write_candles._REPLACE = "ON CONFLICT DO NOTHING"


def open_candle_kept() -> None:
    """The forming candle is taken for a closed one."""
    ingest.clean = lambda rows, step_ms, now_ms: clean(rows, step_ms, now_ms + step_ms)


def synchronous(level: str) -> Callable[[], None]:
    def breaks() -> None:
        plain = connection._prepare_writer

        def prepare(opened: apsw.Connection) -> None:
            plain(opened)
            opened.pragma("synchronous", level)

        connection._prepare_writer = prepare

    return breaks


def last_minute_only() -> None:
    """What is due is what closed just now, not what the database says is undecided."""
    plain = scan._due

    def due(desk: Desk, now_ms: int) -> Iterator[Any]:
        for symbol, timeframe, _, frontier_ms in plain(desk, now_ms):
            if frontier_ms == floor_to(now_ms, MINUTE_MS):
                yield symbol, timeframe, frontier_ms - timeframe_ms(timeframe), frontier_ms

    scan._due = due


def newest_close_only() -> None:
    """Behind by several closes, only the newest is decided, with the newest candles."""
    plain = scan._due

    def due(desk: Desk, now_ms: int) -> Iterator[Any]:
        for symbol, timeframe, _, frontier_ms in plain(desk, now_ms):
            yield symbol, timeframe, frontier_ms - timeframe_ms(timeframe), frontier_ms

    scan._due = due


def yaml_in_place() -> None:
    """The configuration is opened for writing and dumped into."""

    def replaced(change: rewrite.Rewrite) -> None:
        document = yaml.safe_load(change.after)
        with change.path.open("w", encoding="utf-8") as file:
            yaml.safe_dump(document, file, sort_keys=False)

    rewrite.replace = replaced


def empty_is_news() -> None:
    """An empty answer is taken for 'nothing happened' and the checkpoint moves on."""

    plain = sync.pull

    async def pull(desk: Desk, symbol: str, series: Series, now_ms: int, *rest: Any) -> Any:
        pulled = await plain(desk, symbol, series, now_ms, *rest)
        if pulled.fault and pulled.series.checkpoint_ms is not None:
            pulled.fault, pulled.series = None, replace(pulled.series, checkpoint_ms=floor_to(now_ms, MINUTE_MS))
        return pulled

    sync.pull = pull


def long_silence(world: World, plan: Plan) -> tuple[World, Plan]:
    """Let one symbol answer with nothing for longer than the overlap reaches back."""
    plan.answers.update({(tick, SYMBOLS[0]): "empty" for tick in range(30, 38)})
    return world, plan


def long_pages(world: World, plan: Plan) -> tuple[World, Plan]:
    return replace(world, page=1_000), plan


def no_lock() -> None:
    """Nobody asks whether another engine runs on the database."""
    life.only_one = lambda path: contextlib.nullcontext()


def no_unique_key() -> None:
    """Signals have no identity: one found again is stored again."""
    migrations.SCHEMA_1 = migrations.SCHEMA_1.replace(
        "key TEXT NOT NULL UNIQUE,\n    ts_ms", "key TEXT NOT NULL,\n    ts_ms"
    )
    _write_records._ids_of = lambda opened, keys: {}


def retro_often(world: World, plan: Plan) -> tuple[World, Plan]:
    return world, replace(plan, retro=[20, 60, 100])


def long_checkpoint() -> None:
    """A checkpoint that waits for readers, and holds the write lock meanwhile."""

    def checkpoint(opened: apsw.Connection) -> CheckpointReport:
        opened.set_busy_timeout(3_000)
        ((hindered, log, moved),) = list(opened.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        return CheckpointReport(not hindered, max(log, 0), max(moved, 0))

    _maintain.checkpoint = checkpoint


def marked_before_sent() -> None:
    """An alert counts as sent before it was."""

    async def run(desk: Desk, now_ms: int) -> Report:
        for row in desk.reader.outbox(state="queued").to_dict("records"):
            desk.writer.mark_outbox(int(row["id"]), "sent", now_ms)
            with contextlib.suppress(NotifierError):
                remote_id = await desk.notifiers[row["channel"]].send(_words(row))
                desk.writer.mark_outbox(int(row["id"]), "sent", now_ms, remote_id=remote_id)
        return Report("alert")

    alert.run = run


def marked_in_bulk() -> None:
    """All that waits is sent, then all of it is marked."""

    async def run(desk: Desk, now_ms: int) -> Report:
        done = []
        with contextlib.suppress(NotifierError):
            for row in desk.reader.outbox(state="queued").to_dict("records"):
                done.append((int(row["id"]), await desk.notifiers[row["channel"]].send(_words(row))))
        with desk.writer.transaction():
            for number, remote_id in done:
                desk.writer.mark_outbox(number, "sent", now_ms, remote_id=remote_id)
        return Report("alert")

    alert.run = run


def _words(row: dict[Any, Any]) -> Message:
    return Message(text := f"#{row['signal_id']} {row['kind']}", text)


def flood_is_refusal() -> None:
    """A pause that Telegram asks for is taken for a refusal."""
    plain = messenger.FaultyNotifier.send

    async def send(self: Any, message: Message) -> str:
        try:
            return await plain(self, message)
        except NotifierUnavailable as error:
            raise NotifierError(str(error)) from error

    messenger.FaultyNotifier.send = send


def alert_in_its_own_transaction() -> None:
    """What is announced is committed first, and the announcement after it."""
    begin, queue = TellingWriter.transaction, TellingWriter.queue

    @contextlib.contextmanager
    def transaction(self: Any) -> Iterator[None]:
        is_outermost = not self._inside
        with begin(self):
            yield
        if is_outermost and (waiting := self.__dict__.pop("waiting", [])):
            queue(self, waiting)

    def put_off(self: Any, rows: Any) -> int:
        if not self._inside:
            return queue(self, rows)
        self.__dict__.setdefault("waiting", []).extend(rows)
        return len(rows)

    TellingWriter.transaction, TellingWriter.queue = transaction, put_off


def frontier_first() -> None:
    """How far a series has come is committed before the candles are."""

    def write(desk: Desk, pulls: Any, now_ms: int) -> Any:
        desk.writer.set_marks(desk.exchange, _series._marks(desk, pulls))
        return _series.write(desk, pulls, now_ms)

    sync.write = write


def dies_behind(world: World, plan: Plan) -> tuple[World, Plan]:
    """Let it die while it catches up: eight minutes behind, at one of its first commits."""
    plan.deaths.clear()
    for number, tick in enumerate(range(10, world.ticks - 20, 15)):
        plan.deaths.append(Death(KILL, tick, "cycle.after", 1, 8))
        plan.deaths.append(Death(KILL, tick + 9, "writer.commit.after", 1 + number % 3, 0))
    return world, plan


def fault_is_the_end() -> None:
    """A 5xx is not tried again: the symbol counts as gone, and is switched off."""
    plain, gone = market._spoiled, set()

    def spoiled(kind: str, symbol: str, *rest: Any) -> Any:
        if kind in ("timeout", "too_many"):
            gone.add(symbol)
        return plain(kind, symbol, *rest)

    async def run(desk: Desk, now_ms: int) -> Report:
        report = await sync.run(desk, now_ms)
        for name in sorted(gone):
            desk.writer.set_symbol_off(desk.exchange, name, "answered with an error", now_ms)
        desk.symbols = [symbol for symbol in desk.symbols if symbol not in gone]
        return report

    market._spoiled = spoiled
    cycle.STAGES = tuple((name, run if stage is sync.run else stage) for name, stage in cycle.STAGES)


def trades_given_up() -> None:
    """A stage that failed is left alone from then on, its error swallowed."""

    async def run(desk: Desk, now_ms: int) -> Report:
        if desk.memory.get("gave up") or desk.reader.meta("gave up"):
            return Report("execute_signals")
        try:
            return await execute.run(desk, now_ms)
        except TraderError:
            desk.memory["gave up"] = True
            return Report("execute_signals")

    cycle.STAGES = tuple((name, run if stage is execute.run else stage) for name, stage in cycle.STAGES)


def often_full(world: World, plan: Plan) -> tuple[World, Plan]:
    plan.full = set(range(40, 120, 3))
    plan.deaths = plan.deaths[:2]
    return world, plan


def gaps_forgotten() -> None:
    """A missing minute is never looked at again."""
    plain = ingest.look
    ingest.look = lambda known, *rest: replace(plain(known, *rest), changed=None, gaps=known)
