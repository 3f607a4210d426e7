"""Time: UTC milliseconds, timeframes and their grid.

The law: time is an integer count of milliseconds since 1970-01-01 UTC. `ts` is a candle's open; a
candle exists once `ts + timeframe <= now`. Nothing but this module and the market reads a clock.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from core.errors import UsageError

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "MINUTE_MS",
    "ceil_to",
    "floor_to",
    "format_duration",
    "format_ms",
    "monotonic_s",
    "parse_time",
    "timeframe_ms",
    "wall_now_ms",
]

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_UNIT_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_TIMEFRAME = re.compile(r"([1-9][0-9]{0,3})([mhdw])")


def timeframe_ms(timeframe: str) -> int:
    """Return the length of a timeframe.

    Parameters
    ----------
    timeframe : str
        A number and one of m, h, d, w, such as ``"15m"``.

    Returns
    -------
    int
        Milliseconds.

    Raises
    ------
    UsageError
        The text is not a timeframe.

    Examples
    --------
    >>> timeframe_ms("15m")
    900000
    """
    match = _TIMEFRAME.fullmatch(timeframe)
    if not match:
        raise UsageError(f"timeframe '{timeframe}': expected a number and m, h, d or w, such as 15m")
    return int(match[1]) * _UNIT_MS[match[2]]


def floor_to(ms: int, step_ms: int) -> int:
    """Return the last point of the grid of `step_ms` (aligned to the epoch) at or before `ms`."""
    return ms - ms % step_ms


def ceil_to(ms: int, step_ms: int) -> int:
    """Return the first point of the grid of `step_ms` (aligned to the epoch) at or after `ms`."""
    return ms + -ms % step_ms


def parse_time(text: str) -> int:
    """Read a moment written by a person.

    Parameters
    ----------
    text : str
        ISO date or date and time (UTC where no zone is given), or integer milliseconds.

    Returns
    -------
    int
        UTC milliseconds.

    Raises
    ------
    UsageError
        The text is neither.

    Examples
    --------
    >>> parse_time("2023-01-01")
    1672531200000
    """
    text = text.strip()
    if text.isdecimal() and len(text) >= 12:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"time '{text}': expected a date such as 2023-01-31, 2023-01-31T12:00 or milliseconds since 1970"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def format_ms(ms: int, zone: str = "UTC") -> str:
    """Write a moment for a person: ``2023-01-31 12:00``, in `zone`, with the zone's name.

    Examples
    --------
    >>> format_ms(1672531200000)
    '2023-01-01 00:00 UTC'
    """
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC).astimezone(ZoneInfo(zone))
    return moment.strftime("%Y-%m-%d %H:%M %Z")


def format_duration(ms: int) -> str:
    """Write a length of time for a person with its two largest units.

    Examples
    --------
    >>> format_duration(5_400_000)
    '1h 30m'
    """
    minutes = max(0, int(ms)) // MINUTE_MS
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{days}d" if days else "", f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    shown = [part for part in parts if part][:2]
    return " ".join(shown) if shown else "0m"


def wall_now_ms() -> int:
    """Return the machine's wall clock, UTC milliseconds.

    For markets, and for the viewer to say how old what it shows is; nothing is decided on it anywhere else.
    """
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Return the machine's monotonic clock in seconds. For pacing and watchdogs only."""
    return time.monotonic()
