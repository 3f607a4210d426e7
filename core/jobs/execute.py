"""Stage `execute_signals`: move every pending and open trade on to the frontier.

The law: which trades are due is read from the database, never from the clock; what happened is written
in one transaction with the alerts that announce it. Where the exchange has ended a symbol, its trades end with it.
"""

from __future__ import annotations

from core.jobs._announce import queue_events
from core.jobs._book import ended, join_signals, play_on, playable, rows_of
from core.jobs._desk import Desk, Report

__all__ = ["run"]


async def run(desk: Desk, now_ms: int) -> Report:
    """Play all unfinished trades up to each symbol's frontier.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Counts of trades moved, filled and finished.
    """
    trades = desk.reader.trades(exchange=desk.exchange, status=["PENDING", "OPEN"])
    if trades.empty:
        return Report("execute_signals")
    signals = join_signals(desk, trades)
    to_ms = playable(desk, signals["symbol"].unique(), now_ms)
    after, events = play_on(desk, trades, signals, to_ms, ended(desk, to_ms))
    if after.empty:
        return Report("execute_signals")
    with desk.writer.transaction():
        eventful = after["signal_id"].isin(events["signal_id"].unique()).to_numpy()
        desk.writer.move_trades(rows_of(after, ~eventful))
        if len(events):
            desk.writer.put_trades(after[eventful])
            desk.writer.put_events(events)
            queue_events(desk, events, after, signals, now_ms)
    finished = after["status"].isin(["CLOSED", "EXPIRED", "CANCELLED"]).sum()
    filled = (events["kind"] == "FILL").sum()
    return Report("execute_signals", counts={"moved": len(after), "filled": int(filled), "finished": int(finished)})
