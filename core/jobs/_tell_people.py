"""Commands that write something down: what was taken or skipped, what is silenced.

The law: saying it twice is saying it once; changing one's mind adds to the journal and takes nothing out of it.
"""

from __future__ import annotations

import math

import pandas as pd

from core.clock import HOUR_MS, format_ms
from core.errors import UsageError
from core.gate import PASSED
from core.jobs._asking import Ask, Reply, number_in, symbol_in
from core.jobs._period import live_rows
from core.results.bot import titled
from core.results.explain import escaped
from core.store.writer import Writer

__all__ = ["LONGEST_MUTE_H", "MUTE_H", "mute", "skipped", "taken", "unmute"]

MUTE_H = 24.0
"""Hours of a mute where none are named."""

LONGEST_MUTE_H = 24.0 * 30
"""Hours of the longest mute: what is forgotten ends by itself."""

_SAID = {"taken": "You took", "skipped": "You skipped"}
_UNDO = {"taken": "/skipped", "skipped": "/taken"}


def taken(ask: Ask) -> Reply:
    """Note that a person took a signal, and at what price if they say so."""
    price = math.nan
    if len(ask.words) > 1:
        price = _positive(ask.words[1], "a price, a plain number such as 64250")
    return _noted(ask, "taken", price)


def skipped(ask: Ask) -> Reply:
    """Note that a person did not take a signal."""
    return _noted(ask, "skipped", math.nan)


def _noted(ask: Ask, action: str, price: float) -> Reply:
    number = number_in(ask.words[0])
    found = ask.desk.reader.signals(
        ids=[number], columns=["id", "symbol", "timeframe", "direction", "origin", "verdict"]
    )
    if found.empty:
        raise UsageError(f"signal #{number} is not on record; /signals lists the newest")
    row = found.iloc[0]
    name = f"#{number} {str(row['direction']).upper()} {row['symbol']} {row['timeframe']}"
    before = ask.desk.reader.journal([number], ask.user_id)
    is_same = len(before) and before["action"].iloc[-1] == action and _same(before["price"].iloc[-1], price)
    lines = [f"{_SAID[action]} it" + (f" at {price:.10g}." if math.isfinite(price) else ".")]
    if is_same:
        lines = ["That is what the journal says already."]
    lines.append(f"{_UNDO[action]} {number} says otherwise{_where(ask, number, row)}.")

    def change(writer: Writer) -> None:
        writer.put_journal(number, ask.user_id, action, ask.now_ms, price)

    return Reply(titled(name, lines, ask.moment), change)


def _where(ask: Ask, number: int, row: pd.Series) -> str:
    """Say which list shows what was said of a signal; nothing of one that no list shows."""
    rows = live_rows(ask.desk)
    status = rows.loc[rows["signal_id"] == number, "status"].tolist()
    if status:
        return "; /open shows it" if status[0] in ("OPEN", "PENDING") else "; /trades shows it"
    return "; /signals shows it" if row["origin"] == "live" and row["verdict"] in PASSED else ""


def mute(ask: Ask) -> Reply:
    """Silence new signals of a pair on the channel this was said on."""
    symbol = symbol_in(ask, ask.words[0])
    hours = _positive(ask.words[1].removesuffix("h"), "a number of hours") if len(ask.words) > 1 else MUTE_H
    if hours > LONGEST_MUTE_H:
        raise UsageError(
            f"{ask.words[1]} hours: at most {LONGEST_MUTE_H:.0f}; to stop following it: trader symbols pause"
        )
    until_ms = ask.now_ms + round(hours * HOUR_MS)
    until = format_ms(until_ms, ask.desk.config.app.timezone)
    lines = [
        f"No new signals of it here until {until}. They are found and played all the same.",
        "What becomes of those announced already is still told. /unmute ends it.",
    ]
    exchange = ask.desk.exchange

    def change(writer: Writer) -> None:
        writer.mute(ask.channel, exchange, symbol, ask.now_ms, until_ms, ask.user_id)

    return Reply(titled(f"{symbol} is muted", lines, ask.moment), change)


def unmute(ask: Ask) -> Reply:
    """Let a pair be heard again, or all of them."""
    symbol = symbol_in(ask, ask.words[0]) if ask.words else None
    muted = ask.desk.reader.mutes(ask.now_ms, ask.channel)
    names = sorted(muted.loc[muted["exchange"] == ask.desk.exchange, "symbol"])
    names = [name for name in names if symbol in (None, name)]
    if not names:
        return Reply(titled("Nothing is muted" if symbol is None else f"{symbol} is not muted", [], ask.moment))
    exchange = ask.desk.exchange

    def change(writer: Writer) -> None:
        writer.unmute(ask.channel, exchange, symbol)

    return Reply(titled("Heard again", [escaped(name) for name in names], ask.moment), change)


def _positive(word: str, expected: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    is_plain = word.isascii() and "_" not in word  # Python reads 64_250 and figures of every script
    if not (is_plain and math.isfinite(value) and value > 0):
        raise UsageError(f"'{word}': expected {expected}")
    return value


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
