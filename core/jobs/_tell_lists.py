"""Commands about single signals and trades: the newest, the open, the finished, and why.

The law: what is listed is what was announced: live, passed and taken; what the asker said they did stands beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.gate import PASSED
from core.jobs._asking import Ask, Reply, count_in, number_in, symbol_in, timeframe_in
from core.jobs._period import live_rows
from core.jobs.why import why_html
from core.jobs.whynot import whynot_html
from core.results.bot import open_words, signals_words, trades_words
from core.results.positions import worth_r

__all__ = ["LISTED", "MOST_LISTED", "opened", "signals", "trades", "why", "whynot"]

LISTED, MOST_LISTED = 5, 30
"""How many are listed where no number is named, and at most."""

_LOOK_BACK = 2_000  # newest live candidates among which those that passed are looked for

Row = dict[str, Any]


def signals(ask: Ask) -> Reply:
    """List the newest live signals that passed."""
    wanted = count_in(ask, LISTED, MOST_LISTED)
    known = ask.desk.reader.signals(
        exchange=ask.desk.exchange, origin="live", limit=_LOOK_BACK, columns=["id", "verdict"]
    )
    ids = known.loc[known["verdict"].isin(list(PASSED)), "id"].head(wanted).tolist()
    found = ask.desk.reader.signals(ids=ids).sort_values(["decided_ms", "id"], ascending=False)
    played = live_or_any(ask, ids)
    return Reply(signals_words(_rows(found), played, _said(ask, ids), ask.moment))


def live_or_any(ask: Ask, ids: list[int]) -> dict[int, Row]:
    """Return a trade of each signal: the taken one where there is one."""
    trades_of = ask.desk.reader.trades(signal_ids=ids).sort_values(["signal_id", "taken", "exit_policy"])
    return {int(row["signal_id"]): row for row in _rows(trades_of)}


def opened(ask: Ask) -> Reply:
    """List what the paper account holds and waits for."""
    rows = live_rows(ask.desk)
    running = rows[rows["status"].isin(["OPEN", "PENDING"])]
    ids = running["signal_id"].tolist()
    whole = ask.desk.reader.signals(ids=ids, columns=["id", "valid_until_ms"]).rename(columns={"id": "signal_id"})
    prices = {symbol: _newest_price(ask, symbol) for symbol in sorted(set(running["symbol"]))}
    price = running["symbol"].map(prices).astype("float64")
    told = running.assign(price=price, worth_r=worth_r(running, price)).merge(whole, on="signal_id", how="left")
    return Reply(open_words(_rows(told), _said(ask, ids), ask.moment))


def trades(ask: Ask) -> Reply:
    """List the newest finished trades of the paper account."""
    rows = live_rows(ask.desk)
    ended = rows[~rows["status"].isin(["OPEN", "PENDING"])].sort_values(
        ["known_ms", "signal_id"], ascending=False, kind="stable"
    )
    shown = ended.head(count_in(ask, LISTED, MOST_LISTED))
    return Reply(trades_words(_rows(shown), _said(ask, shown["signal_id"].tolist()), ask.moment))


def why(ask: Ask) -> Reply:
    """Explain one signal."""
    return Reply(why_html(ask.desk, ask.now_ms, number_in(ask.words[0])))


def whynot(ask: Ask) -> Reply:
    """Explain why the newest close of a series has no signal."""
    symbol, timeframe = symbol_in(ask, ask.words[0]), timeframe_in(ask.words[1])
    return Reply(whynot_html(ask.desk, ask.now_ms, symbol, timeframe))


def _said(ask: Ask, ids: list[int]) -> dict[int, Row]:
    """Return the asker's last word on each signal."""
    return {int(row["signal_id"]): row for row in _rows(ask.desk.reader.journal(ids, ask.user_id))}


def _newest_price(ask: Ask, symbol: str) -> float:
    candles = ask.desk.reader.last_candles(ask.desk.exchange, symbol, ask.desk.config.data.base_timeframe, 1)
    return float(candles.close[-1]) if len(candles) else float(np.nan)


def _rows(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
