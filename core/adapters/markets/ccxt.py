"""A real exchange through ccxt's async client: public endpoints, no key.

The law: `fetch_ohlcv` answers with the first candles at or after `since_ms`, whatever the exchange's own idea of a
window is, so that a hole in an answer is a hole in the market.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from core.adapters.markets._exchange_clock import ExchangeClock, Reading
from core.adapters.markets._instrument import has_ended, to_instrument
from core.adapters.markets._leap import leap
from core.adapters.markets._vendor import LAST_TRIP, Pace, Tally, listen, moved, translate, vendor_errors
from core.clock import monotonic_s, timeframe_ms, wall_now_ms
from core.errors import ConfigError, CredentialsError, MarketError, MarketUnavailable, UnknownSymbol, nearest
from core.ports import Traffic
from core.schema import FloatArray, Instrument, perpetual

__all__ = ["CcxtMarket", "require_known"]

_LISTING_LOOKS = 3
_SHARED_FAILURE_S = 5.0
_DEFAULT_PAGE = 200
# Funding histories that come newest first, page by page, and take no `since`: rows a page.
_FUNDING_PAGES = {"bitget": 100}
_MOST_FUNDING_PAGES = 60
_FUNDING_PAGES_AT_ONCE = 6


def require_known(exchange_id: str) -> None:
    """Raise `ConfigError` with the nearest name where ccxt does not know an exchange."""
    import ccxt.async_support as vendor

    if exchange_id not in vendor.exchanges:
        raise ConfigError(f"exchange.id = {exchange_id}: not known to ccxt; {nearest(exchange_id, vendor.exchanges)}")


class CcxtMarket:
    """Any exchange ccxt knows.

    Parameters
    ----------
    exchange_id : str
        ccxt's id, such as ``"bitget"``.
    rate_limit_ms : int
        Milliseconds between requests; never less than what ccxt knows of the exchange.
    base_url : str, optional
        Scheme, host and port of a server that stands in for the exchange.
    backoff_s : float
        First pause after a passing fault of a request; it doubles, with jitter.
    timeout_s : float
        For one request, from the first byte sent to the last one received.

    Raises
    ------
    ConfigError
        ccxt does not know the exchange.
    """

    synthetic = False
    live = True

    def __init__(
        self,
        exchange_id: str,
        rate_limit_ms: int,
        base_url: str | None = None,
        backoff_s: float = 0.5,
        timeout_s: float = 8.0,
    ) -> None:
        require_known(exchange_id)
        self.exchange = exchange_id
        self._rate_limit_ms = rate_limit_ms
        self._base_url = base_url
        self._backoff_s, self._timeout_s = backoff_s, timeout_s
        self._clock = ExchangeClock()
        self._vendor_client: Any = None
        self._pace = Pace(rate_limit_ms / 1000)
        self._loading = asyncio.Lock()
        self._load_failed: tuple[float, MarketUnavailable | None] = (0.0, None)
        self._looked_s = float("-inf")
        self._tally = Tally()
        self._telling = asyncio.Lock()

    def now_ms(self) -> int:
        """Return the exchange's time, UTC milliseconds: the wall clock until it was first asked for."""
        return self._clock.now_ms()

    async def advance(self) -> int | None:
        """Return the exchange's time, measured when that is due; the scheduler does the waiting."""
        await self._tell_time()
        return self.now_ms()

    async def measure_clock(self) -> int:
        """Measure the exchange's clock now; return how far ahead of the machine's it is, milliseconds."""
        await self._tell_time(is_wanted=True)
        return self.now_ms() - wall_now_ms()

    async def load_markets(self) -> dict[str, Instrument]:
        """Return every symbol the exchange lists and has not ended, and measure its clock.

        Raises
        ------
        MarketUnavailable
            No answer, or an empty one.
        """
        await self._tell_time(is_wanted=True)
        async with self._loading:
            markets = await self._load()
        client = self._client()
        return {
            symbol: to_instrument(client, self.exchange, symbol, market)
            for symbol, market in markets.items()
            if not has_ended(market)
        }

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> npt.NDArray[np.float64]:
        """Return the first candles at or after `since_ms`, at most `limit`, oldest first, the forming one among them.

        Raises
        ------
        UnknownSymbol
            The exchange does not list the symbol.
        MarketUnavailable
            No useful answer after several attempts.
        """
        await self._tell_time()
        if not self._clock.is_measured:
            raise MarketUnavailable(f"{self.exchange} time: it could not be read")  # what is closed would be a guess
        await self._find_listed(symbol)
        step = timeframe_ms(timeframe)
        page = min(limit, self._page(symbol))
        rows = await self._candles(symbol, timeframe, since_ms, page)
        if len(rows) >= page and rows[0, 0] >= since_ms + step:
            # A full page that begins late may be the end of a longer window: ask for its beginning, from one
            # candle earlier, which is the one to go where the end of a window counts as part of it.
            ahead = min(page, int(rows[0, 0] - since_ms) // step + 1)
            head = await self._candles(symbol, timeframe, since_ms - step, ahead)
            head = head[(head[:, 0] >= since_ms) & (head[:, 0] < rows[0, 0])]
            rows = np.concatenate((head, rows))[:page]
        if not len(rows) and since_ms + page * step <= self.now_ms():
            known = self._client().timeframes or {}
            rows = await leap(partial(self._candles, symbol), known, timeframe, since_ms, page, self.now_ms)
        return rows

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> npt.NDArray[np.float64] | None:
        """Return settlements from `since_ms` on, oldest first, at most `limit`: time in ms and rate as a fraction.

        None where the symbol pays no funding or the exchange keeps no history.

        Raises
        ------
        UnknownSymbol
            The exchange does not list the symbol.
        MarketUnavailable
            No useful answer after several attempts.
        """
        client = self._client()
        if not perpetual(symbol) or not client.has.get("fetchFundingRateHistory"):
            return None
        await self._find_listed(symbol)
        page = _FUNDING_PAGES.get(self.exchange)
        if page is None:
            found = await self._ask(symbol, "fetch_funding_rate_history", symbol, since_ms, limit)
        else:
            found = await self._funding_pages(symbol, since_ms, page)
        settled = {int(row["timestamp"]): row["fundingRate"] for row in found if row["fundingRate"] is not None}
        wanted = sorted((ts, rate) for ts, rate in settled.items() if ts >= since_ms)
        return np.array(wanted[:limit], dtype=np.float64).reshape(-1, 2)

    def traffic(self) -> Traffic:
        """Return what was asked since the last call."""
        return self._tally.take()

    async def close(self) -> None:
        """Release connections."""
        if self._vendor_client is not None:
            await self._vendor_client.close()
            self._vendor_client = None

    def _client(self) -> Any:
        if self._vendor_client is None:
            import ccxt.async_support as vendor

            client = getattr(vendor, self.exchange)({"timeout": round(self._timeout_s * 1000)})
            client.has["fetchCurrencies"] = False  # of no use here, and one request fewer is one fault fewer
            # Some clients cut windows at the machine's time; the exchange's is what counts.
            client.milliseconds = self.now_ms
            if self._base_url:
                client.urls["api"] = moved(client.urls["api"], self._base_url.rstrip("/"))
            self._pace = Pace(max(self._rate_limit_ms, client.rateLimit) / 1000)
            listen(client, self._pace, self._backoff_s, self._tally)
            self._vendor_client = client
        return self._vendor_client

    async def _ask(self, what: str, method: str, *args: Any) -> Any:
        """Call the client; its errors arrive as the house's."""
        try:
            return await getattr(self._client(), method)(*args)
        except vendor_errors() as error:
            raise translate(error, f"{self.exchange} {what}", self._pace) from error

    async def _load(self) -> dict[str, Any]:
        try:
            markets: dict[str, Any] = await self._ask("markets", "load_markets", True)
            if not markets:
                raise MarketUnavailable(f"{self.exchange} markets: an empty list")
        except MarketUnavailable as error:
            self._load_failed = (monotonic_s(), error)
            raise
        return markets

    async def _find_listed(self, symbol: str) -> None:
        """Make sure a symbol is listed; only a list that lacks it several times is believed, and then for a while."""
        client = self._client()
        if client.markets and symbol in client.markets:
            return  # without waiting for whoever reads the list because of another symbol
        async with self._loading:
            if client.markets and symbol in client.markets:
                return
            failed_s, failure = self._load_failed
            if failure is not None and monotonic_s() - failed_s < _SHARED_FAILURE_S:
                raise failure  # those who waited for the same list share its failure
            markets: dict[str, Any] = client.markets or {}
            if monotonic_s() - self._looked_s >= _SHARED_FAILURE_S:  # and what was just looked for several times
                for look in range(_LISTING_LOOKS):
                    if look:
                        await asyncio.sleep(self._backoff_s)
                    markets = await self._load()
                    if symbol in markets:
                        return
                self._looked_s = monotonic_s()
        raise UnknownSymbol(f"{self.exchange}: symbol '{symbol}' is not traded there; {nearest(symbol, markets)}")

    async def _candles(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> FloatArray:
        found = await self._ask(f"{symbol} {timeframe}", "fetch_ohlcv", symbol, timeframe, since_ms, limit)
        if not found:
            return np.empty((0, 6))
        try:
            rows = np.array(found, dtype=np.float64).reshape(len(found), -1)
        except (TypeError, ValueError) as error:
            raise MarketUnavailable(f"{self.exchange} {symbol} {timeframe}: candles that are no numbers") from error
        return rows if rows.shape[1] >= 6 else np.empty((0, 6))

    async def _funding_pages(self, symbol: str, since_ms: int, page: int) -> list[dict[str, Any]]:
        async def read(number: int) -> list[dict[str, Any]]:
            which = {"pageNo": number, "pageSize": page}
            rows: list[dict[str, Any]] = await self._ask(
                symbol, "fetch_funding_rate_history", symbol, None, page, which
            )
            return rows

        found: list[dict[str, Any]] = []
        first, together = 1, 1  # the newest page mostly does; a long history is read several pages at a time
        while first <= _MOST_FUNDING_PAGES:
            pages = await asyncio.gather(*(read(number) for number in range(first, first + together)))
            found.extend(row for rows in pages for row in rows)
            if len(pages[-1]) < page or min(int(row["timestamp"]) for row in pages[-1]) <= since_ms:
                break
            first, together = first + together, _FUNDING_PAGES_AT_ONCE
        return found

    async def _tell_time(self, is_wanted: bool = False) -> None:
        """Measure the exchange's clock when that is due."""
        if not (is_wanted or self._clock.is_due()):
            return
        async with self._telling:
            if not (is_wanted or self._clock.is_due()):
                return  # measured while this one waited
            if self._client().has.get("fetchTime"):
                await self._clock.measure(self._time_said)
            else:
                self._clock.set_to_wall()

    async def _time_said(self) -> Reading | None:
        try:
            told = await self._ask("time", "fetch_time")
        except (MarketError, CredentialsError):
            return None  # the next request for candles says it too
        return Reading(int(told), *LAST_TRIP.get()) if told else None

    def _page(self, symbol: str) -> int:
        found = self._client().feature_value(symbol, "fetchOHLCV", "limit")
        return int(found) if found else _DEFAULT_PAGE
