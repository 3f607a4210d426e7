"""A tape: recorded or generated one-minute candles of some symbols, ready to be played.

The law: a tape is data and holds no clock; what it says is the same whoever plays it and how often.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from core.clock import MINUTE_MS
from core.errors import InputFileError
from core.schema import Candles, FloatArray, Instrument

__all__ = ["Series", "Tape"]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """What a tape holds of one symbol.

    Parameters
    ----------
    candles : Candles
        One-minute candles, as recorded: nothing is filled in, nothing is cleaned.
    instrument : Instrument
        Steps of price and quantity, None where the recording does not say.
    funding : float64 array, shape (n, 2), optional
        Settlements: time in ms, rate as a fraction, oldest first; None where none were recorded.
    """

    candles: Candles
    instrument: Instrument
    funding: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """One-minute candles of some symbols.

    Parameters
    ----------
    series : mapping of str to Series
        By unified symbol; at least one candle in all.

    Raises
    ------
    InputFileError
        There is not a single candle.

    Examples
    --------
    >>> candles = Candles.of([0, 60_000], [1, 2], [2, 3], [1, 2], [2, 3], [5, 5])
    >>> tape = Tape.of({"BTC/USDT": candles})
    >>> tape.symbols, tape.start_ms, tape.end_ms
    (('BTC/USDT',), 0, 120000)
    """

    series: Mapping[str, Series]

    def __post_init__(self) -> None:
        if not any(len(one.candles) for one in self.series.values()):
            raise InputFileError("tape: holds no candle; expected one-minute candles of at least one symbol")
        object.__setattr__(self, "series", MappingProxyType(dict(self.series)))

    @classmethod
    def of(
        cls,
        candles: Mapping[str, Candles],
        instruments: Mapping[str, Instrument] | None = None,
        funding: Mapping[str, FloatArray] | None = None,
    ) -> Tape:
        """Build a tape from candles in memory.

        Parameters
        ----------
        candles : mapping of str to Candles
            By unified symbol.
        instruments : mapping of str to Instrument, optional
            A symbol without one trades with unknown tick and lot.
        funding : mapping of str to float64 array, optional
            Settlements by symbol.
        """
        known, rates = instruments or {}, funding or {}
        return cls(
            {
                symbol: Series(run, known.get(symbol) or Instrument("", symbol), rates.get(symbol))
                for symbol, run in candles.items()
            }
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, in the order they were handed in."""
        return tuple(self.series)

    @property
    def start_ms(self) -> int:
        """Open time of the first candle of all, UTC milliseconds."""
        return min(int(one.candles.ts[0]) for one in self.series.values() if len(one.candles))

    @property
    def end_ms(self) -> int:
        """Close time of the last candle of all, UTC milliseconds."""
        return max(int(one.candles.ts[-1]) for one in self.series.values() if len(one.candles)) + MINUTE_MS

    def instruments(self, exchange: str) -> dict[str, Instrument]:
        """Return the instruments by symbol, named as of `exchange`."""
        return {symbol: replace(one.instrument, exchange=exchange) for symbol, one in self.series.items()}
