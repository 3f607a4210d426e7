"""What setups share: refusing parameters they cannot work with, and writing prices and dates.

The law: a refusal is one line with the name, the value and what was expected; stored numbers and words are
short enough to compare equal wherever the candles began.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from core.errors import nearest
from core.schema import FloatArray, IntArray

__all__ = [
    "date_texts",
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


def stored_digits(values: FloatArray) -> list[str]:
    """Write measures for a plan's JSON in ten significant digits, as JSON writes them; null where one is not known.

    Examples
    --------
    >>> stored_digits(np.array([2.0 / 3.0, 42.0, 1e-7, np.nan]))
    ['0.6666666667', '42.0', '1e-07', 'null']
    """
    texts = [f"{value:.10g}" for value in values.tolist()]
    return [text if "." in text and "e" not in text else _json_number(text) for text in texts]


def _json_number(text: str) -> str:
    if text == "nan":
        return "null"
    return repr(float(text)) if "e" in text else text + ".0"


def price_text(price: float) -> str:
    """Write a price in at most eight significant digits, without an exponent.

    Examples
    --------
    >>> price_text(0.00001234), price_text(42000.0)
    ('0.00001234', '42000')
    """
    text = f"{price:.8g}"
    return np.format_float_positional(float(text), trim="-") if "e" in text else text


def date_texts(ms: IntArray) -> list[str]:
    """Write moments, UTC, to the minute.

    Examples
    --------
    >>> date_texts(np.array([1672531200000]))
    ['2023-01-01 00:00']
    """
    texts: list[str] = np.datetime_as_string(ms.astype("datetime64[ms]"), unit="m").tolist()
    return [text.replace("T", " ") for text in texts]
