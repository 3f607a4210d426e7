"""A Bitget on the loopback: the public v2 endpoints ccxt's client calls, with Bitget's habits and, on request, faults.

The law: every answer has the shape Bitget's has. Candles come as a window's *last* `limit`, at most 200 from the
history endpoint, which is the only one for old candles; the recent endpoint shows the forming candle.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

import numpy as np

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, floor_to
from core.schema import Candles
from tests.servers.bitget_faults import ALL_FAULTS, FAULTS, send, send_fault

__all__ = ["ALL_FAULTS", "FAULTS", "BitgetServer", "Listing", "random_candles"]

_GRANULARITY = {"1m": MINUTE_MS, "1min": MINUTE_MS, "1H": HOUR_MS, "1h": HOUR_MS, "1Dutc": DAY_MS}
_RECENT_DAYS = {MINUTE_MS: 31, HOUR_MS: 83, DAY_MS: 1500}  # how far back the recent endpoint goes
_RECENT_LIMIT = 1000
_HISTORY_LIMIT = 200


@dataclass
class Listing:
    """A symbol of the exchange.

    Parameters
    ----------
    market : str
        ``spot`` or a product type such as ``USDT-FUTURES``.
    base : str
        Base coin; the quote is USDT.
    candles : Candles
        One-minute candles, also those of the future: the server shows what its clock allows.
    funding : list of (ms, rate)
    """

    market: str
    base: str
    candles: Candles
    funding: list[tuple[int, float]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.base}USDT"


def random_candles(start_ms: int, minutes: int, seed: int, price: float = 100.0) -> Candles:
    """Candles of a random walk, rounded as an exchange rounds."""
    rng = np.random.default_rng(seed)
    close = np.round(price * np.exp(np.cumsum(rng.normal(0, 1e-3, minutes))), 4)
    open_ = np.concatenate(([price], close[:-1]))
    high = np.round(np.maximum(open_, close) * (1 + rng.random(minutes) * 1e-3), 4)
    low = np.round(np.minimum(open_, close) * (1 - rng.random(minutes) * 1e-3), 4)
    volume = np.round(rng.exponential(10, minutes), 3)
    return Candles.of(start_ms + np.arange(minutes) * MINUTE_MS, open_, high, low, close, volume)


class BitgetServer:
    """Serves listings at `url` until closed.

    Parameters
    ----------
    listings : iterable of Listing
    now_ms : int
        The exchange's time when the server starts; it runs on from there, and `skip` moves it forward.
    fault_rate : float
        Share of requests answered with one of `faults`.
    faults : tuple of str
    seed : int
        Which requests are hit: the n-th one of an address is, or is not, whatever else goes on.

    Attributes
    ----------
    end_is_inclusive : bool
        Whether a window's end belongs to it, so that 200 candles and one are wanted where 200 fit.
    removed : set of str
        Ids of symbols that were listed once, and are answered for as Bitget does then.
    statuses : dict of str to str
        What the list says of a symbol, by id, where it does not trade as usual.
    hit : callable
        Given a path and its query: whether it may be hit by a fault at all.
    clock_off_ms : int
        How far the time it tells is off.
    time_delay_s : float
        How long it takes to tell the time.
    """

    def __init__(
        self,
        listings: Iterable[Listing],
        now_ms: int,
        fault_rate: float = 0.0,
        faults: tuple[str, ...] = FAULTS,
        seed: int = 0,
    ) -> None:
        self.listings = list(listings)
        self.fault_rate, self.faults, self.seed = fault_rate, faults, seed
        self.end_is_inclusive = False
        self.removed: set[str] = set()
        self.statuses: dict[str, str] = {}
        self.hit: Callable[[str, dict[str, str]], bool] = lambda _path, _query: True
        self.clock_off_ms = 0
        self.time_delay_s = 0.0
        self.ended = threading.Event()
        self.requests: Counter[str] = Counter()
        self.queries: list[tuple[str, dict[str, str]]] = []
        self.faulted: Counter[str] = Counter()
        self._offset_ms = now_ms - time.monotonic() * 1000
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> BitgetServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def now_ms(self) -> int:
        return int(self._offset_ms + time.monotonic() * 1000)

    def skip(self, ms: int) -> None:
        """Move the exchange's clock forward."""
        self._offset_ms += ms

    def fault_of(self, path: str, address: str, query: dict[str, str]) -> str | None:
        with self._lock:
            self.requests[path] += 1
            self._asked[address] += 1
            if not self.hit(path, query):
                return None
            draw = zlib.crc32(f"{self.seed} {address} {self._asked[address]}".encode()) / 2**32
            if draw >= self.fault_rate:
                return None
            fault = self.faults[int(draw / self.fault_rate * len(self.faults))]
            self.faulted[fault] += 1
            return fault

    def answer(self, path: str, query: dict[str, str]) -> object:
        """Return the `data` of an answer; raises LookupError for what Bitget does not know, PermissionError for what
        it does not allow."""
        with self._lock:
            self.queries.append((path, query))
        routes: dict[str, Callable[[dict[str, str]], object]] = {
            "/api/v2/public/time": lambda _: self._told_time(),
            "/api/v2/spot/public/symbols": lambda _: [
                _spot(one, self.statuses.get(one.id, "online")) for one in self.listings if one.market == "spot"
            ],
            "/api/v2/margin/currencies": lambda _: [],
            "/api/v2/mix/market/contracts": lambda q: [
                _contract(one, self.statuses.get(one.id, "normal"))
                for one in self.listings
                if one.market == q["productType"]
            ],
            "/api/v2/spot/market/candles": lambda q: self._candles("spot", q, _RECENT_LIMIT),
            "/api/v2/spot/market/history-candles": lambda q: self._candles("spot", q, _HISTORY_LIMIT),
            "/api/v2/mix/market/candles": lambda q: self._candles(q["productType"], q, _RECENT_LIMIT),
            "/api/v2/mix/market/history-candles": lambda q: self._candles(q["productType"], q, _HISTORY_LIMIT),
            "/api/v2/mix/market/history-fund-rate": self._funding,
        }
        return routes[path](query)

    def _told_time(self) -> dict[str, str]:
        told_ms = self.now_ms() + self.clock_off_ms
        if self.time_delay_s:
            self.ended.wait(self.time_delay_s)
        return {"serverTime": str(told_ms)}

    def _find(self, market: str, symbol: str) -> Listing:
        return next(one for one in self.listings if one.market == market and one.id == symbol)

    def _candles(self, market: str, query: dict[str, str], most: int) -> list[list[str]]:
        step = _GRANULARITY[query["granularity"]]
        now = self.now_ms()
        start = int(query.get("startTime", 0))
        if most == _RECENT_LIMIT:
            start = max(start, now - _RECENT_DAYS[step] * DAY_MS)
        end = min(int(query.get("endTime", now)), now if most == _RECENT_LIMIT else floor_to(now, step))
        known = self._find(market, query["symbol"]).candles.between(floor_to(start, step), floor_to(end, step) + step)
        last = end if self.end_is_inclusive else end - 1
        rows = [row for row in _bars(known, step, now) if start <= row[0] <= last]
        return [[str(value) for value in row] for row in rows[-min(int(query.get("limit", 100)), most) :]]

    def _funding(self, query: dict[str, str]) -> list[dict[str, str]]:
        settled = [one for one in self._find(query["productType"], query["symbol"]).funding if one[0] <= self.now_ms()]
        size = min(int(query.get("pageSize", 20)), 100)
        first = (int(query.get("pageNo", 1)) - 1) * size
        newest_first = sorted(settled, reverse=True)[first : first + size]
        return [
            {"symbol": query["symbol"], "fundingRate": f"{rate:.6f}", "fundingTime": str(ts)}
            for ts, rate in newest_first
        ]


def _bars(candles: Candles, step: int, now_ms: int) -> list[list[float]]:
    """Candles of `step` from one-minute candles up to now; what is forming has moved half of its way."""
    bars: dict[int, list[float]] = {}
    table = zip(candles.ts, candles.open, candles.high, candles.low, candles.close, candles.volume, strict=True)
    for raw, open_, high, low, close, volume in table:
        ts = int(raw)
        if ts > now_ms:
            break
        if ts + MINUTE_MS > now_ms:
            close, volume = round((open_ + close) / 2, 4), round(volume / 2, 3)
            high, low = max(open_, close), min(open_, close)
        bar = bars.get(ts - ts % step)
        if bar is None:
            bars[ts - ts % step] = [ts - ts % step, *map(float, (open_, high, low, close, volume, volume * close))]
        else:
            bar[2], bar[3], bar[4] = max(bar[2], float(high)), min(bar[3], float(low)), float(close)
            bar[5], bar[6] = bar[5] + float(volume), bar[6] + float(volume * close)
    return list(bars.values())


def _spot(one: Listing, status: str) -> dict[str, str]:
    return {
        "symbol": one.id,
        "baseCoin": one.base,
        "quoteCoin": "USDT",
        "minTradeAmount": "0",
        "maxTradeAmount": "10000000000",
        "takerFeeRate": "0.002",
        "makerFeeRate": "0.002",
        "pricePrecision": "2",
        "quantityPrecision": "6",
        "quotePrecision": "6",
        "status": status,
        "minTradeUSDT": "1",
    }


def _contract(one: Listing, status: str) -> dict[str, object]:
    return {
        "symbol": one.id,
        "baseCoin": one.base,
        "quoteCoin": "USDT",
        "makerFeeRate": "0.0002",
        "takerFeeRate": "0.0006",
        "supportMarginCoins": ["USDT"],
        "minTradeNum": "0.001",
        "priceEndStep": "5",
        "volumePlace": "3",
        "pricePlace": "1",
        "sizeMultiplier": "0.001",
        "symbolType": "perpetual",
        "minTradeUSDT": "5",
        "symbolStatus": status,
        "deliveryTime": "",
        "launchTime": "",
        "fundInterval": "8",
        "minLever": "1",
        "maxLever": "125",
    }


def _handler(server: BitgetServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            try:
                data, code, message = server.answer(parts.path, query), "00000", "success"
            except (LookupError, StopIteration):
                data, code, message = None, "40034", f"Parameter {query.get('symbol')} does not exist"
                if query.get("symbol") in server.removed:
                    code, message = "40309", "The contract has been removed"
            except PermissionError:
                data, code, message = None, "40014", "Incorrect permissions"
            body = {"code": code, "msg": message, "requestTime": server.now_ms(), "data": data}
            fault = server.fault_of(parts.path, self.path, query)
            try:
                if fault is None:
                    send(self, 200 if code == "00000" else 400, json.dumps(body))
                else:
                    send_fault(self, fault, body, server.ended)
            except OSError:
                self.close_connection = True  # the client went first

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                self.close_connection = True  # reset on purpose, or the client went first

    return Handler
