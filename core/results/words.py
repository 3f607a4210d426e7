"""Figures as people read them; a figure that does not exist is a dash.

The law: one way to write a share, an R multiple, money and a time, wherever results are shown.
"""

from __future__ import annotations

import math

from core.clock import format_duration

__all__ = ["as_factor", "in_percent", "in_r", "in_r_unsigned", "in_signed_percent", "in_time", "in_usd", "span"]


def in_percent(share: float) -> str:
    """Write a share as percent.

    Examples
    --------
    >>> in_percent(0.4123)
    '41.2 %'
    """
    return f"{100 * share:.1f} %" if math.isfinite(share) else "-"


def in_signed_percent(value: float) -> str:
    """Write a change given in percent.

    Examples
    --------
    >>> in_signed_percent(1.5)
    '+1.50 %'
    """
    return f"{value:+.2f} %" if math.isfinite(value) else "-"


def in_r(value: float) -> str:
    """Write a result in R with its sign.

    Examples
    --------
    >>> in_r(-0.1234)
    '-0.12 R'
    """
    return f"{value:+.2f} R" if math.isfinite(value) else "-"


def in_r_unsigned(value: float) -> str:
    """Write an amount in R.

    Examples
    --------
    >>> in_r_unsigned(0.081)
    '0.08 R'
    """
    return f"{value:.2f} R" if math.isfinite(value) else "-"


def in_usd(value: float) -> str:
    """Write money with its sign.

    Examples
    --------
    >>> in_usd(-1234.5)
    '-1,234.50 USD'
    """
    return f"{value:+,.2f} USD" if math.isfinite(value) else "-"


def span(low: str, high: str) -> str:
    """Write a range of two figures, their unit once.

    Examples
    --------
    >>> span("-0.16 R", "+0.11 R"), span("0.73", "1.24")
    ('-0.16 to +0.11 R', '0.73 to 1.24')
    """
    figure, _, unit = low.partition(" ")
    return f"{figure} to {high}" if unit and high.endswith(f" {unit}") else f"{low} to {high}"


def as_factor(value: float) -> str:
    """Write gains over losses.

    Examples
    --------
    >>> as_factor(0.876), as_factor(math.inf)
    ('0.88', 'no loss yet')
    """
    return "no loss yet" if value == math.inf else f"{value:.2f}" if math.isfinite(value) else "-"


def in_time(ms: float) -> str:
    """Write a length of time given in milliseconds.

    Examples
    --------
    >>> in_time(5_400_000.0)
    '1h 30m'
    """
    return format_duration(round(ms)) if math.isfinite(ms) else "-"
