"""The exchange the engine is loaded against: a Bitget on the loopback, in a process of its own.

The law: every request takes the time of a round trip, an endpoint that is asked too often answers 429, and the
exchange's clock jumps only when it is told to.
"""

from __future__ import annotations

import math
import multiprocessing
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from benchmarks import _data
from core.adapters.markets.synthetic import instrument_of
from core.clock import HOUR_MS
from tests.servers.bitget import BitgetServer, Listing

__all__ = ["Exchange", "Offer", "PacedBitget"]

MARKET = "USDT-FUTURES"
_CONTRACTS = "/api/v2/mix/market/contracts"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the exchange lists, and how it answers.

    Parameters
    ----------
    symbols : list of str
    tapes : list of str
        Files of their minutes.
    now_ms : int
        Its time at the start, UTC ms.
    latency_s : float
        How long each answer takes.
    per_second : int
        Requests of one endpoint allowed in a second, as many at once at most; 0 = no limit.
    """

    symbols: list[str]
    tapes: list[str]
    now_ms: int
    latency_s: float = 0.1
    per_second: int = 20


class PacedBitget(BitgetServer):
    """A Bitget that takes its time and counts who asks how often.

    Parameters
    ----------
    listings : list of Listing
    offer : Offer
    """

    def __init__(self, listings: list[Listing], offer: Offer) -> None:
        super().__init__(listings, offer.now_ms)
        self._offer = offer
        self._buckets: dict[str, tuple[float, float]] = {}  # by path: requests it still allows, and as of when
        self._counting = threading.Lock()
        # The head and the body of an answer are two writes: without this the second waits for the first's receipt.
        self._http.RequestHandlerClass.disable_nagle_algorithm = True  # type: ignore[attr-defined]
        self._steps = {listing.id: instrument_of(f"{listing.base}/USDT:USDT") for listing in listings}

    def answer(self, path: str, query: dict[str, str]) -> object:
        """Return the `data` of an answer, after a round trip."""
        time.sleep(self._offer.latency_s)
        data: Any = super().answer(path, query)
        return [self._fine(row) for row in data] if path == _CONTRACTS else data

    def fault_of(self, path: str, address: str, query: dict[str, str]) -> str | None:
        """Say whether a request came too soon."""
        fault: str | None = super().fault_of(path, address, query)
        return fault or ("too_many" if self._is_over(path) else None)

    def _is_over(self, path: str) -> bool:
        """Take a request from the bucket of its endpoint, which holds a second's worth and fills up all the time."""
        most = self._offer.per_second
        if not most:
            return False
        with self._counting:
            now = time.monotonic()
            allowed, at = self._buckets.get(path, (float(most), now))
            allowed = min(most, allowed + (now - at) * most)
            is_over = allowed < 1.0
            self._buckets[path] = (allowed if is_over else allowed - 1.0, now)
            self.faulted["too_many"] += is_over
            return is_over

    def _fine(self, row: dict[str, object]) -> dict[str, object]:
        """Give a contract the steps its prices were made with."""
        steps = self._steps[str(row["symbol"])]
        places = {"pricePlace": steps.tick, "volumePlace": steps.lot}
        told = {name: str(round(-math.log10(step or 1.0))) for name, step in places.items()}
        return {**row, **told, "priceEndStep": "1", "sizeMultiplier": str(steps.lot)}


class Exchange:
    """The exchange's process, as the one who tests holds it.

    Parameters
    ----------
    offer : Offer

    Attributes
    ----------
    url : str
    """

    def __init__(self, offer: Offer) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, door = context.Pipe()
        self._process = context.Process(target=_serve, args=(offer, door), daemon=True)
        self._process.start()
        door.close()
        self.url: str = self.line.recv()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()
        self.line.close()


def _serve(offer: Offer, door: Connection) -> None:
    """Serve until ended: a number moves the clock there, anything else asks for the counts."""
    hours = range(0, offer.now_ms + 48 * HOUR_MS, 8 * HOUR_MS)
    settled = [(ms, 0.0001) for ms in hours if ms > offer.now_ms - 48 * HOUR_MS]
    listings = [
        Listing(MARKET, symbol.split("/")[0], _data.load_candles(path), settled)
        for symbol, path in zip(offer.symbols, offer.tapes, strict=True)
    ]
    with PacedBitget(listings, offer) as server:
        door.send(server.url)
        while True:
            try:
                asked = door.recv()
            except EOFError:
                return
            if isinstance(asked, int):
                server.skip(max(0, asked - server.now_ms()))
                door.send(server.now_ms())
            else:
                door.send({"requests": dict(server.requests), "refused": server.faulted["too_many"]})
