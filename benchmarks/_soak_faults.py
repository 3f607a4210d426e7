"""A market and a messenger that fail on purpose, as exchanges and networks do.

The law: which request is hit is a function of the seed, the symbol and the market's minute, and the last hours before
`calm_ms` and after are without faults, so that what must be made good can be.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.errors import MarketUnavailable, NotifierError, NotifierUnavailable
from core.ports import Market, Message
from core.schema import FloatArray, Instrument

__all__ = ["FaultyMarket", "FaultyNotifier", "Troubles"]

_HELD_MS = 2 * MINUTE_MS  # how long a candle is shown with another close than it will have
_BOUT_MS = 3 * MINUTE_MS  # an exchange that answers with nothing does so for a while
_EMPTY_IN_A_BOUT = 0.7
_HIGH, _LOW, _CLOSE = 2, 3, 4


@dataclass(frozen=True, slots=True)
class Troubles:
    """What goes wrong, and how often.

    Parameters
    ----------
    begin_ms, calm_ms : int
        Faults happen in between, market time, UTC ms.
    gaps_until_ms : int
        Minutes are withheld before this only: the engine looks for a missing minute for about a day.
    timeouts, empties, listings : float
        Share of requests that are not answered, of stretches of three minutes in which most answers hold nothing, and
        of readings of the list that fail.
    revised : float
        Share of candles first shown with another close.
    gaps_a_day : float
        Stretches of minutes a symbol withholds, each shown an hour late.
    outage_days, outage_ms : int
        Every so many days one symbol answers nothing, for so long; the next time another one.
    closed_days, closed_ms : int
        Every so many days the whole exchange answers nothing, for so long.
    refused, unreachable : float
        Share of messages refused for good, and not taken now.
    seed : int
    """

    begin_ms: int
    calm_ms: int
    gaps_until_ms: int
    timeouts: float = 0.01
    empties: float = 0.005
    listings: float = 0.2
    revised: float = 0.002
    gaps_a_day: float = 2.0
    outage_days: int = 3
    outage_ms: int = 6 * HOUR_MS
    closed_days: int = 7
    closed_ms: int = 45 * MINUTE_MS
    refused: float = 0.002
    unreachable: float = 0.05
    seed: int = 0

    def on(self, now_ms: int) -> bool:
        """Say whether faults may happen now."""
        return self.begin_ms <= now_ms < self.calm_ms

    def draw(self, *what: object) -> float:
        """Return a number in [0, 1) that depends on nothing but the seed and what is asked about."""
        told = hashlib.blake2b(" ".join(map(str, (self.seed, *what))).encode(), digest_size=8).digest()
        return int.from_bytes(told, "big") / 2**64

    def is_out(self, place: int, count: int, now_ms: int) -> bool:
        """Say whether the symbol at `place` of `count` answers nothing now."""
        turn, into_ms = divmod(now_ms - self.begin_ms, self.outage_days * DAY_MS)
        return self.on(now_ms) and into_ms < self.outage_ms and turn % count == place

    def is_closed(self, now_ms: int) -> bool:
        """Say whether the whole exchange answers nothing now: in the middle of each stretch of days."""
        period_ms = self.closed_days * DAY_MS
        into_ms = (now_ms - self.begin_ms) % period_ms - period_ms // 2
        return self.on(now_ms) and 0 <= into_ms < self.closed_ms

    def is_empty(self, symbol: str, now_ms: int, asked: int) -> bool:
        """Say whether an answer holds nothing: for some minutes on end, most of them do."""
        bout = self.draw("empty", symbol, now_ms // _BOUT_MS) < self.empties
        return bout and self.draw("empty", symbol, now_ms, asked) < _EMPTY_IN_A_BOUT

    def withheld(self, symbol: str, ts: FloatArray, now_ms: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Say which minutes are not shown yet: three in a row, an hour long, each stretch within one clock hour."""
        hours = ts // HOUR_MS
        hidden = np.zeros(len(ts), dtype=np.bool_)
        for hour in np.unique(hours):
            begin_ms = int(hour) * HOUR_MS
            if not self.begin_ms <= begin_ms < self.gaps_until_ms:
                continue
            if self.draw("gap", symbol, begin_ms) >= self.gaps_a_day / 24:
                continue
            first_ms = begin_ms + int(self.draw("where", symbol, begin_ms) * 50) * MINUTE_MS
            hidden |= (ts >= first_ms) & (ts < first_ms + 3 * MINUTE_MS) & (now_ms < first_ms + HOUR_MS)
        return hidden


class FaultyMarket:
    """A market with troubles.

    Parameters
    ----------
    inner : Market
        What is true.
    troubles : Troubles
    symbols : sequence of str
        In the order in which they take turns to be out.

    Attributes
    ----------
    faults : Counter of str
        What was done to the engine, by kind.
    """

    def __init__(self, inner: Market, troubles: Troubles, symbols: list[str]) -> None:
        self.inner, self.troubles = inner, troubles
        self.exchange, self.synthetic, self.live = inner.exchange, inner.synthetic, inner.live
        self.faults: Counter[str] = Counter()
        self._place = {symbol: place for place, symbol in enumerate(symbols)}
        self._asked: Counter[str] = Counter()  # one entry a symbol

    def now_ms(self) -> int:
        """Return the market's time."""
        return self.inner.now_ms()

    async def advance(self) -> int | None:
        """Move to the next moment."""
        return await self.inner.advance()

    async def load_markets(self) -> dict[str, Instrument]:
        """Return the list, or fail."""
        self._fail("list", self.troubles.listings, "list of symbols")
        return await self.inner.load_markets()

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> FloatArray | None:
        """Return settlements, or fail."""
        self._fail("funding", self.troubles.timeouts, symbol)
        return await self.inner.fetch_funding(symbol, since_ms, limit)

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> FloatArray:
        """Return candles, fewer, other ones or none."""
        troubles, now_ms = self.troubles, self.now_ms()
        if troubles.is_out(self._place[symbol], len(self._place), now_ms):
            self.faults["symbol out"] += 1
            raise MarketUnavailable(f"{symbol}: no answer (this symbol is out)")
        self._fail("timeout", troubles.timeouts, symbol)
        rows = await self.inner.fetch_ohlcv(symbol, timeframe, since_ms, limit)
        if not troubles.on(now_ms) or not len(rows):
            return rows
        if troubles.is_empty(symbol, now_ms, self._asked[symbol]):
            self.faults["empty answer"] += 1
            return rows[:0]
        hidden = troubles.withheld(symbol, rows[:, 0], now_ms)
        if hidden.any():
            self.faults["minutes withheld"] += 1
            rows = rows[~hidden]
        return self._revised(symbol, rows, now_ms)

    async def close(self) -> None:
        """Release connections."""
        await self.inner.close()

    def _revised(self, symbol: str, rows: FloatArray, now_ms: int) -> FloatArray:
        """Show some newly closed candles with another close than they will have."""
        troubles = self.troubles
        for row in rows[-3:]:
            is_new = row[0] + MINUTE_MS <= now_ms < row[0] + MINUTE_MS + _HELD_MS
            if is_new and troubles.draw("revised", symbol, int(row[0])) < troubles.revised:
                row[_CLOSE] = row[_LOW] if row[_CLOSE] != row[_LOW] else row[_HIGH]
                self.faults["candle revised later"] += 1
        return rows

    def _fail(self, kind: str, share: float, what: str) -> None:
        now_ms = self.now_ms()
        self._asked[what] += 1
        if self.troubles.is_closed(now_ms):
            self.faults["exchange out"] += 1
            raise MarketUnavailable(f"{what}: no answer (the exchange is out)")
        if self.troubles.on(now_ms) and self.troubles.draw(kind, what, now_ms, self._asked[what]) < share:
            self.faults[kind] += 1
            raise MarketUnavailable(f"{what}: timed out")


class FaultyNotifier:
    """A messenger with troubles, who keeps nothing but counts.

    Parameters
    ----------
    market : Market
        Whose time decides whether faults happen.
    troubles : Troubles

    Attributes
    ----------
    counts : Counter of str
        ``sent``, ``refused``, ``not reached`` and ``asked to wait``.
    """

    name = "soak"

    def __init__(self, market: Market, troubles: Troubles) -> None:
        self._market, self._troubles = market, troubles
        self._tries = 0
        self.counts: Counter[str] = Counter()

    async def send(self, _message: Message) -> str:
        """Deliver, or not."""
        now_ms = self._market.now_ms()
        self._tries += 1
        if self._troubles.on(now_ms):
            drawn = self._troubles.draw("send", self._tries)
            if drawn < self._troubles.refused:
                self.counts["refused"] += 1
                raise NotifierError("the message was refused (a soak test does that)")
            if drawn < self._troubles.refused + self._troubles.unreachable / 2:
                self.counts["not reached"] += 1
                raise NotifierUnavailable("no answer (a soak test does that)")
            if drawn < self._troubles.refused + self._troubles.unreachable:
                self.counts["asked to wait"] += 1
                raise NotifierUnavailable("asked to wait (a soak test does that)", retry_after_s=120.0)
        self.counts["sent"] += 1
        return str(self._tries)

    async def check(self) -> None:
        """Return: it can be reached, as far as one can tell."""

    async def close(self) -> None:
        """Release connections: there are none."""
