"""The numbers that stand for words inside the kernel.

The law: a word is its position in one of these; a number never changes its word, for tables are handed over by
number and stored by word.
"""

from __future__ import annotations

__all__ = ["ENDS", "KINDS", "ORDERS", "SOURCES", "STATUSES"]

STATUSES = ("PENDING", "OPEN", "CLOSED", "EXPIRED", "CANCELLED")
PENDING, OPEN, CLOSED, EXPIRED, CANCELLED = range(5)
ORDERS = ("limit", "market", "stop")
LIMIT, MARKET, STOP = range(3)
ENDS = ("SL", "TP1_TRAIL", "TP", "TIMEOUT", "POLICY", "DELISTED", "EXPIRED", "MISSED", "GAPPED")
KINDS = ("", "FILL", "TARGET", "FUNDING", *ENDS)
NONE, FILL, TARGET, FUNDING, SL, TP1_TRAIL, TP, TIMEOUT, POLICY, DELISTED, TOO_LATE, MISSED, GAPPED = range(13)
SOURCES = ("", "maker", "taker", "recorded", "default")
NOBODY, MAKER, TAKER, RECORDED, DEFAULT = range(5)
