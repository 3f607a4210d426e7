"""No market: for commands that work on what is stored and ask nobody.

The law: it knows the time and under which exchange rows are recorded, and refuses every question.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt

from core.clock import format_ms, wall_now_ms
from core.errors import MarketUnavailable
from core.schema import Instrument

__all__ = ["OfflineMarket"]


class OfflineMarket:
    """A market that is not asked.

    Parameters
    ----------
    exchange : str
        The exchange rows are recorded under.
    synthetic : bool
        Whether its stored candles were generated.
    at_ms : int, optional
        The time it is there, UTC milliseconds, where that is not the machine's: the end of what a tape has played.
    """

    live = False

    def __init__(self, exchange: str, synthetic: bool = False, at_ms: int | None = None) -> None:
        self.exchange, self.synthetic, self._at_ms = exchange, synthetic, at_ms

    def now_ms(self) -> int:
        """Return its time, UTC milliseconds."""
        return wall_now_ms() if self._at_ms is None else self._at_ms

    async def advance(self) -> int | None:
        """Return the time."""
        return self.now_ms()

    async def load_markets(self) -> dict[str, Instrument]:
        """Return nothing: what is stored is what is known."""
        return {}

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> npt.NDArray[np.float64]:
        """Refuse."""
        self._refuse(f"{limit} candles of {timeframe} of {symbol} from {format_ms(since_ms)}")

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> npt.NDArray[np.float64] | None:
        """Refuse."""
        self._refuse(f"{limit} funding rates of {symbol} from {format_ms(since_ms)}")

    async def close(self) -> None:
        """Nothing is open."""

    def _refuse(self, what: str) -> NoReturn:
        raise MarketUnavailable(f"{self.exchange}: {what}: not asked for by a command that works offline")
