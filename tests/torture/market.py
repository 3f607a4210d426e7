"""An exchange on a bad day: a tape whose answers are late, short, doubled, shuffled, wrong or missing.

The law: its clock stands on the board and goes on while nobody asks; once the faulty ticks are over, it says what the
tape says.
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from core.adapters.markets.replay import ReplayMarket
from core.clock import MINUTE_MS
from core.errors import MarketUnavailable
from core.schema import FloatArray, Instrument
from tests.torture.board import Board
from tests.torture.plan import Plan
from tests.torture.world import EXCHANGE, UNTRADED, World, minute_of, tape_of

__all__ = ["FaultyMarket"]

_BACK_TICKS = 2
_SERVER_PAGE = 200


class FaultyMarket:
    """The market of one process.

    Parameters
    ----------
    world : World
    plan : Plan
    board : Board
    met : Counter
        Faults that were met, by kind.
    """

    exchange, synthetic, live = EXCHANGE, False, False

    def __init__(self, world: World, plan: Plan, board: Board, met: Counter[str]) -> None:
        self.world, self.plan, self.board, self.met = world, plan, board, met

    def now_ms(self) -> int:
        tick = self.board["tick"]
        back = _BACK_TICKS if tick in self.plan.back else 0
        return minute_of(self.world, max(0, tick - back)) + self.board["extra_ms"]

    async def advance(self) -> int | None:
        tick = self.board["tick"] + 1
        if tick > self.world.last_tick:
            return None
        self.board["tick"] = tick
        if tick in self.plan.back:
            self.met["back"] += 1
        return self.now_ms()

    async def load_markets(self) -> dict[str, Instrument]:
        listed = tape_of(self.world.tape).instruments(self.exchange)
        if self.board["tick"] in self.plan.unlisted:
            self.met["unlisted"] += 1
            listed.pop(sorted(listed)[self.board["tick"] % len(listed)])
        return listed

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> FloatArray | None:
        if self.board["tick"] in self.plan.funding:
            self.met["funding"] += 1
            raise MarketUnavailable(f"{symbol}: settlements are not told")
        return await self._truth().fetch_funding(symbol, since_ms, limit)

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> FloatArray:
        rows = await self._truth().fetch_ohlcv(symbol, timeframe, since_ms, limit)
        rows = rows[-_SERVER_PAGE:]  # a window's last candles, as Bitget answers who asks for more
        kind = self.plan.answers.get((self.board["tick"], symbol))
        if kind is not None:
            self.met[kind] += 1
            rng = random.Random(f"{self.plan.seed} {self.board['tick']} {symbol}")
            rows = _spoiled(kind, symbol, rows, self.now_ms(), rng)
        self.board.reach("sync.answer")
        return rows

    async def close(self) -> None:
        """A tape holds no connection."""

    def _truth(self) -> ReplayMarket:
        return ReplayMarket(tape_of(self.world.tape), self.exchange, start_ms=self.now_ms())


def _spoiled(kind: str, symbol: str, rows: FloatArray, now_ms: int, rng: random.Random) -> FloatArray:
    """Return an answer with a fault."""
    if kind in ("timeout", "too_many"):
        raise MarketUnavailable(f"{symbol}: {kind}", 2.0 if kind == "too_many" else None)
    n = len(rows)
    if kind == "empty" or not n:
        return rows[:0]
    closed = np.flatnonzero(rows[:, 0] + MINUTE_MS <= now_ms)
    if kind == "cut_short":
        return rows[: rng.randint(0, n)]
    if kind == "head_lost":
        return rows[rng.randint(0, max(0, len(closed) - 1)) :]
    if kind == "twice":
        return np.concatenate((rows, rows))
    if kind == "shuffled":
        return rows[rng.sample(range(n), n)]
    if kind == "forming":
        return _with_forming(rows, now_ms)
    if kind == "hole" and len(closed) > 1:
        return np.delete(rows, closed[-2], axis=0)
    if kind == "revised" and len(closed) and rows[closed[-1], 0] + 2 * MINUTE_MS > now_ms:  # not of a page of the past
        newest = closed[-1]
        rows[newest, 5] *= 0.5
        if symbol == UNTRADED:
            rows[newest, 1:5] *= 1.001
    return rows


def _with_forming(rows: FloatArray, now_ms: int) -> FloatArray:
    """Return an answer that ends with the open candle, its prices far from where they will be."""
    open_ms = now_ms - now_ms % MINUTE_MS
    rows = rows[rows[:, 0] < open_ms]
    if not len(rows):
        return rows
    last = rows[-1].copy()
    last[0] = open_ms
    last[1:5] *= 1.01
    return np.concatenate((rows, last[None]))
