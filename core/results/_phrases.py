"""The phrases every text about signals is made of: levels, names, stamps, how late.

The law: what comes from data is escaped here, and a number is written so that an order form takes it.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.clock import MINUTE_MS, format_ms

__all__ = [
    "FILL_DIGITS",
    "Moment",
    "Quote",
    "Row",
    "code",
    "decimal",
    "escaped",
    "late_by_ms",
    "late_line",
    "name",
    "quote_currency",
    "stamp",
    "to_plain",
]

_TAG = re.compile(r"</?(?:b|code)>")
_DIGITS = 10  # significant; hides the float noise of tick arithmetic, keeps any tick in use
FILL_DIGITS = 7  # a fill price carries slippage, and no meaning beyond this

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """When and for whom a text is made.

    Parameters
    ----------
    now_ms : int
        Market time.
    zone : str
        Time zone of the reader, for display.
    synthetic : bool
        The candles were generated.
    late_after_ms : int
        From what age on a text says that it is late.
    """

    now_ms: int
    zone: str = "UTC"
    synthetic: bool = False
    late_after_ms: int = 10 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Quote:
    """The newest price known: that of a closed candle, and when it closed."""

    price: float
    at_ms: int


def decimal(value: float, digits: int = _DIGITS) -> str:
    """Write a price the way an order form takes it: no exponent, no trailing noise.

    Examples
    --------
    >>> decimal(0.00001), decimal(3 * 0.1), decimal(64250.0)
    ('0.00001', '0.3', '64250')
    """
    if not math.isfinite(value):
        return "unknown"
    text = format(Decimal(f"{value:.{digits}g}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_plain(text: str) -> str:
    """Return the words of a text without its tags.

    Examples
    --------
    >>> to_plain("<b>a &lt; b</b>")
    'a < b'
    """
    return html.unescape(_TAG.sub("", text))


def late_by_ms(known_ms: int, moment: Moment) -> int:
    """Return how late a text is, or 0 while that is not worth a word."""
    age_ms = moment.now_ms - known_ms
    return age_ms if age_ms > moment.late_after_ms else 0


def escaped(text: object) -> str:
    """Return a text from data as HTML."""
    return html.escape(str(text), quote=False)


def stamp(moment: Moment) -> str:
    """Return what every text begins with where the candles were generated."""
    return "SYNTHETIC " if moment.synthetic else ""


def name(signal: Row) -> str:
    """Return what a signal is called everywhere: id, direction, symbol, timeframe."""
    words = f"{str(signal['direction']).upper()} {signal['symbol']} {signal['timeframe']}"
    return f"#{int(signal['id'])} {escaped(words)}"


def late_line(known_ms: int, moment: Moment) -> list[str]:
    """Return the line that owns up to a delay, or no line."""
    late_ms = late_by_ms(known_ms, moment)
    return [f"Late by {late_ms // MINUTE_MS} min: this is from {format_ms(known_ms, moment.zone)}."] if late_ms else []


def quote_currency(signal: Row) -> str:
    """Return the currency profit is counted in: USDT of ``BTC/USDT:USDT``."""
    return escaped(str(signal["symbol"]).rsplit("/", 1)[-1].rsplit(":", 1)[-1])


def code(value: float, digits: int = _DIGITS) -> str:
    """Return a level that one tap copies."""
    return f"<code>{decimal(float(value), digits)}</code>"
