"""A plan as lines: its levels, its size, and until when it is valid.

The law: an alert and an explanation show the same plan in the same words.
"""

from __future__ import annotations

import math

from core.clock import format_duration, format_ms
from core.results._phrases import Moment, Row, code, decimal, escaped, quote_currency
from core.results.words import in_signed_percent

__all__ = ["level_lines", "risk_words", "size_line", "validity_line"]


def level_lines(signal: Row) -> list[str]:
    """Return entry, stop and targets, a line each."""
    return [
        f"Entry: {code(signal['entry'])} ({escaped(signal['order_type'])})",
        f"Stop: {code(signal['sl'])} ({_move_pct(signal, 'sl')})",
        *(
            f"{label}: {code(signal[column])} ({_move_pct(signal, column)}, R:R {_reward(signal, column):.2f})"
            for label, column in (("TP1", "tp1"), ("TP2", "tp2"))
            if math.isfinite(signal[column])
        ),
    ]


def size_line(signal: Row) -> str:
    """Return how large the position is and what is risked."""
    notional = float(signal["position_notional"])
    if notional <= 0:
        return "Size: below the exchange's minimum order"
    return (
        f"Size: {notional:.2f} {quote_currency(signal)} notional, leverage {decimal(signal['leverage'])}x, "
        f"risk {risk_words(signal)}"
    )


def risk_words(signal: Row) -> str:
    """Return what a stop costs at the planned size, before costs, and the share of capital that size was made for.

    The highest leverage and whole lots make a position smaller than that share allows, never larger.
    """
    risked = float(signal["position_notional"]) * abs(signal["entry"] - signal["sl"]) / signal["entry"]
    return f"{risked:.2f} {quote_currency(signal)} (at most {decimal(signal['risk_pct'], 4)} % of capital)"


def validity_line(signal: Row, moment: Moment) -> str:
    """Return until when the order may be placed, or that it may not any more."""
    until_ms = int(signal["valid_until_ms"])
    until = format_ms(until_ms, moment.zone)
    if until_ms <= moment.now_ms:
        return f"Was valid until {until}: do not place it any more"
    return f"Valid until {until} ({format_duration(until_ms - moment.now_ms)} left)"


def _reward(signal: Row, column: str) -> float:
    return float(abs(signal[column] - signal["entry"]) / abs(signal["entry"] - signal["sl"]))


def _move_pct(signal: Row, column: str) -> str:
    return in_signed_percent(100 * (signal[column] / signal["entry"] - 1))
