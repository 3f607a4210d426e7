"""Stage `execute_signals`: move every pending and open trade on to the frontier.

The law: which trades are due is read from the database, never from the clock; what happened is written
in one transaction with the alerts that announce it.
"""

from __future__ import annotations

import pandas as pd

from core.jobs._announce import event_rows
from core.jobs._book import join_signals, play_on, playable_to
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
    moved: list[pd.DataFrame] = []
    happened: list[pd.DataFrame] = []
    for symbol, rows in signals.groupby("symbol", sort=True).indices.items():
        after, events = play_on(
            desk,
            str(symbol),
            trades.iloc[rows].reset_index(drop=True),
            signals.iloc[rows].reset_index(drop=True),
            playable_to(desk, str(symbol), now_ms),
        )
        if len(after):
            moved.append(after)
        if len(events):
            happened.append(events)
    if not moved:
        return Report("execute_signals")
    after = pd.concat(moved, ignore_index=True)
    with desk.writer.transaction():
        desk.writer.put_trades(after)
        if happened:
            events = pd.concat(happened, ignore_index=True)
            desk.writer.put_events(events)
            desk.writer.queue(event_rows(events, after, signals, desk.config, list(desk.notifiers), now_ms))
    finished = after["status"].isin(["CLOSED", "EXPIRED", "CANCELLED"]).sum()
    filled = sum((events["kind"] == "FILL").sum() for events in happened)
    return Report("execute_signals", counts={"moved": len(after), "filled": int(filled), "finished": int(finished)})
