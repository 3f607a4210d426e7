"""What setups share: refusing parameters they cannot work with, and writing prices and dates.

The law: a refusal is one line with the name, the value and what was expected; stored numbers and words are
short enough to compare equal wherever the candles began.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from core.errors import nearest

__all__ = [
    "date_text",
    "price_text",
    "require_choice",
    "require_flag",
    "require_number",
    "require_whole",
    "stored_digits",
]


def require_whole(name: str, value: object, low: int) -> None:
    """Refuse anything but a whole number of at least `low`.

    Raises
    ------
    ValueError
        With the name, the value and what was expected.

    Examples
    --------
    >>> require_whole("piv_window", 5, 1)
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name}: {value!r} is not a whole number of at least {low}")


def require_number(name: str, value: object, low: float, high: float = math.inf, *, open_ends: bool = False) -> None:
    """Refuse anything but a finite number from `low` to `high`, or strictly between them with `open_ends`.

    Raises
    ------
    ValueError
        With the name, the value and what was expected.

    Examples
    --------
    >>> require_number("rr_min", 1.0, 0.0)
    """
    ends = "above" if open_ends else "of at least"
    limit = "" if high == math.inf else (f" and below {high:g}" if open_ends else f" and at most {high:g}")
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if fits and isinstance(value, int | float):
        fits = low < value < high if open_ends else low <= value <= high
    if not fits:
        raise ValueError(f"{name}: {value!r} is not a number {ends} {low:g}{limit}")


def require_flag(name: str, value: object) -> None:
    """Refuse anything but true or false.

    Raises
    ------
    ValueError
        With the name, the value and what was expected.

    Examples
    --------
    >>> require_flag("use_avwap", True)
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name}: {value!r} is neither true nor false")


def require_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse anything but one of some words.

    Raises
    ------
    ValueError
        With the name, the value and the nearest valid choice.

    Examples
    --------
    >>> require_choice("stop_at", "swing", ("swing", "level"))
    """
    words = tuple(choices)
    if value not in words:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(words)}; {nearest(str(value), words)}")


def stored_digits(value: float) -> float | None:
    """Shorten a measure for a plan's JSON to ten significant digits; None where it is not known.

    Examples
    --------
    >>> stored_digits(2.0 / 3.0), stored_digits(math.nan)
    (0.6666666667, None)
    """
    return None if math.isnan(value) else float(f"{value:.10g}")


def price_text(price: float) -> str:
    """Write a price in at most eight significant digits, without an exponent.

    Examples
    --------
    >>> price_text(0.00001234), price_text(42000.0)
    ('0.00001234', '42000')
    """
    return np.format_float_positional(float(f"{price:.8g}"), trim="-")


def date_text(ms: int) -> str:
    """Write a moment, UTC, to the minute.

    Examples
    --------
    >>> date_text(1672531200000)
    '2023-01-01 00:00'
    """
    return str(np.datetime64(ms, "ms").astype("datetime64[m]")).replace("T", " ")
