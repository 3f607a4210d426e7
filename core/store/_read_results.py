"""What results need beyond trades: which parts of a trade crossed the spread.

The law: one row a trade, summed by the database, so that no event leaves it.
"""

from __future__ import annotations

from types import MappingProxyType

import apsw
import pandas as pd

from core.schema import FrameSpec
from core.store._frames import fetch, rows_to_frame

__all__ = ["CROSSED", "crossed"]

CROSSED: FrameSpec = MappingProxyType(
    {
        "signal_id": "int64",
        "entered": "float64",  # 1 where the entry took liquidity
        "left": "float64",  # sum of fraction times price over the exits that did
    }
)

_QUESTION = """
SELECT e.signal_id, sum(e.kind = 'FILL'), sum(iif(e.kind = 'FILL', 0.0, e.fraction * e.price))
FROM signals s CROSS JOIN trade_events e
WHERE e.signal_id = s.id AND s.exchange = ? AND s.plan_hash = ? AND e.exit_policy = ? AND e.source = 'taker'
GROUP BY e.signal_id ORDER BY e.signal_id
"""


def crossed(connection: apsw.Connection, exchange: str, plan_hash: str, exit_policy: str) -> pd.DataFrame:
    """Return the trades that took liquidity, and with how much of them."""
    return rows_to_frame(fetch(connection, _QUESTION, (exchange, plan_hash, exit_policy)), CROSSED)
