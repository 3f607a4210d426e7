"""A tape played as if it were an exchange: replays, generated markets, demonstrations and tests.

The law: this market owns its clock, and an answer holds nothing that was not known at that moment: the
candles that had closed, and the forming one as it stood.
"""

from __future__ import annotations

import asyncio

import numpy as np

from core.adapters.markets._tape import Series, Tape
from core.clock import MINUTE_MS, ceil_to, floor_to, format_ms, monotonic_s, timeframe_ms
from core.errors import ConfigError, UnknownSymbol, nearest
from core.indicators.resample import resample
from core.schema import Candles, FloatArray, Instrument

__all__ = ["ReplayMarket", "Series", "Tape"]


class ReplayMarket:
    """A market whose past and future are a tape.

    Parameters
    ----------
    tape : Tape
        What is played.
    exchange : str
        The exchange its rows are recorded under.
    start_ms : int, optional
        Where the clock stands at first, UTC milliseconds; earlier candles can be fetched as history. By default,
        and at the earliest, the tape's first candle.
    end_ms : int, optional
        Where the clock stops; by default, and at the latest, the close of the tape's last candle.
    speed : float
        Market seconds per second; 0 = as fast as the caller keeps up.
    step_ms : int
        Length of a step of the clock, a multiple of a minute, milliseconds.
    page_limit : int
        Most candles in one answer.
    synthetic : bool
        The candles were generated.

    Raises
    ------
    ConfigError
        The start lies behind the end, the speed is negative, or the step is not whole minutes.

    Examples
    --------
    >>> candles = Candles.of([0, 60_000], [1, 2], [2, 3], [1, 2], [2, 3], [5, 5])
    >>> market = ReplayMarket(Tape.of({"BTC/USDT": candles}), start_ms=60_000)
    >>> asyncio.run(market.fetch_ohlcv("BTC/USDT", "1m", 0, 10)).tolist()
    [[0.0, 1.0, 2.0, 1.0, 2.0, 5.0], [60000.0, 2.0, 2.0, 2.0, 2.0, 0.0]]
    >>> asyncio.run(market.advance()), asyncio.run(market.advance())
    (120000, None)
    """

    live = False

    def __init__(
        self,
        tape: Tape,
        exchange: str = "binance",
        start_ms: int | None = None,
        end_ms: int | None = None,
        speed: float = 0.0,
        step_ms: int = MINUTE_MS,
        page_limit: int = 1000,
        synthetic: bool = False,
    ) -> None:
        self.exchange = exchange
        self.synthetic = synthetic
        self._tape = tape
        self._now_ms = tape.start_ms if start_ms is None else max(start_ms, tape.start_ms)
        self._end_ms = tape.end_ms if end_ms is None else min(end_ms, tape.end_ms)
        if self._now_ms > self._end_ms:
            raise ConfigError(
                f"exchange.replay.start: {format_ms(self._now_ms)} lies behind the end of the tape; "
                f"expected {format_ms(tape.start_ms)} to {format_ms(self._end_ms)}"
            )
        if not speed >= 0:
            raise ConfigError(f"exchange.replay.speed: {speed}; expected market seconds per second, or 0")
        if step_ms < MINUTE_MS or step_ms % MINUTE_MS:
            raise ConfigError(f"exchange.replay.step: {step_ms} ms; expected whole minutes, such as 1m")
        self._speed = speed
        self._step_ms = step_ms
        self._page_limit = page_limit
        self._pace_from: tuple[float, int] | None = None
        self._has_taker = {
            symbol: bool(np.isfinite(one.candles.taker_volume).any()) for symbol, one in tape.series.items()
        }

    def now_ms(self) -> int:
        """Return the market's time, UTC milliseconds."""
        return self._now_ms

    async def advance(self) -> int | None:
        """Move the clock to the next whole step, or to the end of the tape, and return it; None at the end.

        Notes
        -----
        With a speed, steps fall due on the monotonic clock from the first call on, so that a slow caller
        catches up and the pace does not drift.
        """
        if self._now_ms >= self._end_ms:
            return None
        moment = min(floor_to(self._now_ms, self._step_ms) + self._step_ms, self._end_ms)
        if self._speed > 0:
            began_s, began_ms = self._pace_from = self._pace_from or (monotonic_s(), self._now_ms)
            due_s = began_s + (moment - began_ms) / 1000 / self._speed
            await asyncio.sleep(max(0.0, due_s - monotonic_s()))
        self._now_ms = moment
        return moment

    async def load_markets(self) -> dict[str, Instrument]:
        """Return every symbol of the tape, also those whose first candle is still to come."""
        return self._tape.instruments(self.exchange)

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> FloatArray:
        """Return candles from `since_ms` on as an exchange would at this moment, oldest first.

        Parameters
        ----------
        symbol : str
            Unified name.
        timeframe : str
            A minute or longer.
        since_ms : int
            Earliest open time, UTC milliseconds.
        limit : int
            Most candles; `page_limit` also holds.

        Returns
        -------
        float64 array, shape (n, 6) or (n, 7)
            ts, open, high, low, close, volume and, where the tape knows it, taker volume. Minutes missing on
            the tape are absent. The last row may be the forming candle: a minute shows its open and no volume, a
            longer candle what its closed minutes made of it.

        Raises
        ------
        UnknownSymbol
            The tape does not hold the symbol.
        UsageError
            The timeframe cannot be read.
        """
        candles = self._series(symbol).candles
        wanted = max(0, min(limit, self._page_limit))
        length_ms = timeframe_ms(timeframe)
        if length_ms == MINUTE_MS:
            return self._minutes(candles, self._has_taker[symbol], since_ms, wanted)
        return self._longer(candles, self._has_taker[symbol], length_ms, since_ms, wanted)

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> FloatArray | None:
        """Return the settlements from `since_ms` until now, at most `limit`; None where none were recorded.

        Raises
        ------
        UnknownSymbol
            The tape does not hold the symbol.
        """
        rows = self._series(symbol).funding
        if rows is None:
            return None
        lo = int(np.searchsorted(rows[:, 0], since_ms))
        hi = int(np.searchsorted(rows[:, 0], self._now_ms, side="right"))
        return rows[lo : max(lo, min(hi, lo + limit))].copy()

    async def close(self) -> None:
        """Return at once: a tape holds no connection."""

    def _series(self, symbol: str) -> Series:
        one = self._tape.series.get(symbol)
        if one is None:
            raise UnknownSymbol(f"symbol '{symbol}': not on the tape; {nearest(symbol, self._tape.symbols)}")
        return one

    def _minutes(self, candles: Candles, taker: bool, since_ms: int, wanted: int) -> FloatArray:
        lo = int(np.searchsorted(candles.ts, since_ms))
        closed = int(np.searchsorted(candles.ts, self._now_ms - MINUTE_MS, side="right"))
        # a candle that has opened and not closed shows the one price known for certain
        opened = int(np.searchsorted(candles.ts, self._now_ms, side="right"))
        hi = min(opened, lo + wanted)
        rows = _rows(candles, lo, max(lo, hi), taker)
        forming = rows[max(0, closed - lo) :]
        forming[:, 2:5] = forming[:, 1:2]
        forming[:, 5:] = 0.0
        return rows

    def _longer(self, candles: Candles, taker: bool, length_ms: int, since_ms: int, wanted: int) -> FloatArray:
        known = candles.between(ceil_to(since_ms, length_ms), self._now_ms - MINUTE_MS + 1)
        if not len(known) or not wanted:
            return _rows(candles, 0, 0, taker)
        # counted from the first minute there is, so that a long hole never hides the candles behind it
        first_ms = floor_to(int(known.ts[0]), length_ms)
        end_ms = min(first_ms + wanted * length_ms, floor_to(self._now_ms, length_ms) + length_ms)
        longer = resample(known.between(first_ms, end_ms), length_ms, first_ms, end_ms)
        return _rows(longer, 0, len(longer), taker)


def _rows(candles: Candles, lo: int, hi: int, taker: bool) -> FloatArray:
    columns = [candles.ts, candles.open, candles.high, candles.low, candles.close, candles.volume]
    if taker:
        columns.append(candles.taker_volume)
    rows = np.empty((hi - lo, len(columns)))
    for position, column in enumerate(columns):
        rows[:, position] = column[lo:hi]
    return rows
