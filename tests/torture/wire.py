"""The same over the wire: ccxt's own Bitget client and the real Telegram notifier, against servers on the loopback.

The law: the servers live in a process of their own, so that no death of an engine reaches them; the exchange's clock
follows the board, and both servers behave once the faulty minutes are over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import ccxt.async_support  # noqa: F401 imported before anything is forked

from core import app
from core.adapters.markets.ccxt import CcxtMarket
from core.adapters.notifiers._pace import Pace
from core.adapters.notifiers.telegram import TelegramNotifier
from core.clock import MINUTE_MS
from core.errors import TraderError
from core.jobs import alert, cycle
from core.ports import Message
from core.schema import FloatArray, Instrument
from core.store.reader import Reader
from tests.servers.bitget import BitgetServer, Listing
from tests.servers.telegram import CANARY_TOKEN, LOST, RESET, Answer, TelegramServer, broken, flood
from tests.torture.board import KILL, NOTHING, Board
from tests.torture.check import Content, differing, look, survived
from tests.torture.life import Home, quiet
from tests.torture.processes import Ended, forked, wait
from tests.torture.world import EXCHANGE, SYMBOLS, World, minute_of, tape_of, traded_setups, write
from tests.torture.writing import writer_of

__all__ = ["WireOutcome", "run_wire"]

_TICKS = 24
_LATE_MS = 5_000  # behind the minute, as the engine asks
_FAULT_RATE = 0.06
_POINTS = ("sync.answer", "notifier.send.after", "notifier.send.before_mark", "writer.commit.after", "cycle.after")
_TELEGRAM = (broken(), broken(500), RESET, flood(1), LOST)


@dataclass(slots=True)
class WireOutcome:
    """What one seed over the wire came to."""

    kills: int = 0
    requests: int = 0
    faults: int = 0
    delivered: int = 0
    duplicates: int = 0
    allowed: int = 0
    lost: int = 0
    corrupt: int = 0
    failure: str = ""


class _Exchange(BitgetServer):
    """A Bitget whose clock is the board's."""

    board: Board
    world: World

    def now_ms(self) -> int:
        return minute_of(self.world, self.board["tick"]) + _LATE_MS

    def fault_of(self, *asked: object) -> str | None:
        is_calm = self.board["tick"] > self.world.ticks or self.board["tick"] <= 1
        return None if is_calm else super().fault_of(*asked)


class _Ticking:
    """The real client; each `advance` moves the board, and has the exchange's time told anew."""

    exchange, synthetic, live = EXCHANGE, False, False

    def __init__(self, market: CcxtMarket, board: Board, world: World) -> None:
        self.market, self.board, self.world = market, board, world

    def now_ms(self) -> int:
        return minute_of(self.world, self.board["tick"]) + _LATE_MS + self.board["extra_ms"]

    async def advance(self) -> int | None:
        if self.board["tick"] >= self.world.last_tick:
            return None
        self.board["tick"] += 1
        self.market._load_failed = (0.0, None)  # shared for seconds, which are over by the next minute
        with contextlib.suppress(TraderError):
            await self.market._tell_time(is_wanted=True)  # its clock runs with the machine's; a minute here is a moment
        return self.now_ms()

    async def load_markets(self) -> dict[str, Instrument]:
        return await self.market.load_markets()

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> FloatArray:
        rows = await self.market.fetch_ohlcv(symbol, timeframe, since_ms, limit)
        self.board.reach("sync.answer")
        return rows

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> FloatArray | None:
        return await self.market.fetch_funding(symbol, since_ms, limit)

    async def close(self) -> None:
        await self.market.close()


class _Watched(TelegramNotifier):
    """The real notifier, in which a process may die once Telegram has answered."""

    board: Board

    async def send(self, message: Message) -> str:
        remote_id = await super().send(message)
        self.board.reach("notifier.send.after")
        return remote_id


def run_wire(folder: Path, seed: int, kills: int = 3) -> WireOutcome:
    """Run an engine over HTTP and compare with an undisturbed run, which is kept in the folder for the next seed."""
    world = World(tape=seed % 2, ticks=_TICKS)
    calm = Home(folder / f"undisturbed-wire-{world.tape}")
    if not calm.database.exists():
        _play(calm.folder, world, None, 0)
    home, outcome = _play(folder / f"wire-{seed}", world, seed, kills)
    if not outcome.failure:
        _judge(home, look(calm.database), outcome)
    if not outcome.failure:
        shutil.rmtree(home.folder)
    return outcome


def _play(folder: Path, world: World, seed: int | None, kills: int) -> tuple[Home, WireOutcome]:
    shutil.rmtree(folder, ignore_errors=True)
    write(folder, world)
    home, board, outcome = Home(folder), Board(), WireOutcome()
    rng = random.Random(f"wire {seed}")
    servers = forked(lambda: _serve(folder, world, board, seed), folder / "trace-servers")
    try:
        told = json.loads(_when_there(folder / "addresses"))
        for at_tick in [*sorted(rng.sample(range(3, world.ticks), kills)), None]:
            if at_tick is None:
                board["death"] = NOTHING
            else:
                board.arm(KILL, at_tick, rng.choice(_POINTS))
            ended = wait(forked(lambda: _live(home, world, board, told), home.trace), home.trace)
            outcome.kills += bool(ended.signal)
            lost, corrupt, said = survived(home.database, board["acked"], home.told)
            outcome.lost, outcome.corrupt = outcome.lost + lost, outcome.corrupt + corrupt
            outcome.failure = ended.said or (f"P1 {said}" if said else "")
            if at_tick is None and not outcome.failure and ended != Ended(0):
                outcome.failure = f"the engine ended by itself: {ended}"
            if outcome.failure or (ended == Ended(0) and at_tick is not None):
                break
    finally:
        os.kill(servers, signal.SIGTERM)
        wait(servers, folder / "trace-servers", 20.0)
    return home, outcome


def _live(home: Home, world: World, board: Board, told: dict[str, str]) -> int:
    app.Writer, app.build_setups = writer_of(board, home.told), traded_setups
    asyncio.run(_run(home, world, board, told))
    return 0


async def _run(home: Home, world: World, board: Board, told: dict[str, str]) -> None:
    source = app.config_source(home.config, None, {})
    client = CcxtMarket(EXCHANGE, 1, told["exchange"], backoff_s=0.01)
    market = _Ticking(client, board, world)
    desk = app.open_desk(source, quiet(), market)
    notifier = _Watched(CANARY_TOKEN, "42", told["telegram"], Pace(0.0))
    notifier.board = board
    desk.notifiers = {"telegram": notifier}
    try:
        while (now_ms := await market.advance()) is not None:
            await cycle.run(desk, now_ms)
            board.reach("cycle.after")
            with contextlib.suppress(TraderError):
                await alert.run(desk, now_ms)
        for _ in range(60):
            if desk.reader.outbox(state="queued").empty:
                break
            board["extra_ms"] += 5 * MINUTE_MS
            await asyncio.sleep(0.05)
            with contextlib.suppress(TraderError):
                await alert.run(desk, market.now_ms())
    finally:
        await notifier.close()
        await market.close()
        desk.writer.close()


def _serve(folder: Path, world: World, board: Board, seed: int | None) -> int:
    """Be the exchange and the messenger until told to end; leave what was delivered in a file."""
    tape = tape_of(world.tape)
    listings = [Listing("USDT-FUTURES", name.split("/")[0], tape.series[name].candles) for name in SYMBOLS]
    exchange = _Exchange(listings, 0, 0.0 if seed is None else _FAULT_RATE, seed=seed or 0)
    exchange.board, exchange.world = board, world
    rng = random.Random(f"servers {seed}")
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    with exchange, TelegramServer() as chat:
        if seed is not None:
            chat.script.extend(
                rng.choice(_TELEGRAM) if rng.random() < 0.2 else Answer(delivers=True) for _ in range(60)
            )
        addresses = {"exchange": exchange.url, "telegram": chat.base_url}
        part = folder / "addresses.part"
        part.write_text(json.dumps(addresses), encoding="utf-8")
        part.replace(folder / "addresses")
        lost_before = sum(answer is LOST for answer in chat.script)
        while not ended:
            time.sleep(0.01)
        told = {
            "messages": [[str(one.message_id), one.text.splitlines()[0]] for one in chat.messages],
            "lost_answers": lost_before - sum(answer is LOST for answer in chat.script),
            "requests": sum(exchange.requests.values()),
            "faults": sum(exchange.faulted.values()),
        }
        (folder / "chat.json").write_text(json.dumps(told), encoding="utf-8")
    return 0


def _when_there(path: Path) -> str:
    until = time.monotonic() + 20.0
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return path.read_text(encoding="utf-8")


def _judge(home: Home, wanted: Content, outcome: WireOutcome) -> None:
    """Judge rows and alerts."""
    told = json.loads((home.folder / "chat.json").read_text(encoding="utf-8"))
    outcome.requests, outcome.faults = told["requests"], told["faults"]
    count, said = differing(look(home.database), wanted)
    if said:
        outcome.failure = f"P2 {said} ({count} rows in all)"
        return
    outbox = Reader(home.database).outbox()
    heads = dict(map(tuple, told["messages"]))
    marked = set(outbox.loc[outbox["state"] == "sent", "remote_id"])
    outcome.delivered, outcome.duplicates = len(marked), len(set(heads) - marked)
    outcome.allowed = outcome.kills + told["lost_answers"]
    unsent = outbox[outbox["state"] != "sent"]
    known = {heads.get(remote_id) for remote_id in marked}
    if len(unsent):
        outcome.failure = f"P3 alert {unsent['key'].iloc[0]} is {unsent['state'].iloc[0]}: {unsent['error'].iloc[0]}"
    elif not marked <= set(heads):
        outcome.failure = "P3 an alert is marked as sent and never reached the chat"
    elif outcome.duplicates > outcome.allowed:
        outcome.failure = f"P3 {outcome.duplicates} messages too many, {outcome.allowed} explained"
    elif not {heads[remote_id] for remote_id in set(heads) - marked} <= known:
        outcome.failure = "P3 a message repeats none of those that are marked"
