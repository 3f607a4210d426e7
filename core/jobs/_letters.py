"""Alerts as messages: which rows leave together, which are left out and why, and their words at sending.

The law: words are made of stored rows when they leave, so that the price is fresh; what would only mislead now (an
order that is no longer valid, a pair that was silenced) is left out with its reason on record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from core.clock import MINUTE_MS, format_ms, timeframe_ms
from core.jobs._announce import ANSWER, EVENT, NEW_SIGNAL, NOTE
from core.jobs._desk import Desk
from core.jobs.why import judged_lines_of
from core.ports import Message
from core.results.explain import Moment, Quote, digest_words, event_words, note_words, signal_words, to_plain

__all__ = ["ANSWER_LATE_MS", "DIGEST_OVER", "DIGEST_SIZE", "Row", "compose", "letters", "obsolete", "records"]

DIGEST_OVER = 10
"""New signals waiting for one channel above which they leave as digests."""

DIGEST_SIZE = 20
"""Most signals in one digest: what fits into a message of 4096 characters."""

ANSWER_LATE_MS = 15 * MINUTE_MS
"""An answer that could not be given for this long is not given any more."""

Row = Mapping[str, Any]


def letters(rows: Sequence[Row]) -> list[list[Row]]:
    """Group alerts into messages: answers first, for somebody waits; else in order, one each, but a burst of new
    signals as digests of even size."""
    answers = [[row] for row in rows if row["kind"] == ANSWER]
    rows = [row for row in rows if row["kind"] != ANSWER]
    new = [row for row in rows if row["kind"] == NEW_SIGNAL]
    if len(new) <= DIGEST_OVER:
        return answers + [[row] for row in rows]
    pieces = math.ceil(len(new) / DIGEST_SIZE)
    bounds = [round(piece * len(new) / pieces) for piece in range(pieces + 1)]
    digests = [new[lo:hi] for lo, hi in pairwise(bounds)]
    first = rows.index(new[0])
    before, after = rows[:first], [row for row in rows[first:] if row["kind"] != NEW_SIGNAL]
    return answers + [[row] for row in before] + digests + [[row] for row in after]


def obsolete(desk: Desk, channel: str, rows: Sequence[Row], at_ms: int) -> list[tuple[Row, str]]:
    """Return the alerts that are not to be sent any more, each with the reason.

    Parameters
    ----------
    desk : Desk
    channel : str
    rows : sequence of mapping
        Queued rows of the outbox.
    at_ms : int
        Market time.
    """
    found = [
        (row, "nobody could be answered for too long")
        for row in rows
        if row["kind"] == ANSWER and at_ms - row["created_ms"] > ANSWER_LATE_MS
    ]
    new = [row for row in rows if row["kind"] == NEW_SIGNAL]
    if not new:
        return found
    ids = [row["signal_id"] for row in new]
    columns = ("id", "exchange", "symbol", "decided_ms", "valid_until_ms")
    signals = {row["id"]: row for row in records(desk.reader.signals(ids=ids, columns=columns))}
    muted = {(row["exchange"], row["symbol"]): row["until_ms"] for row in records(desk.reader.mutes(at_ms, channel))}
    late_ms = desk.config.notify.late_minutes * MINUTE_MS
    late = [number for number, signal in signals.items() if at_ms - signal["decided_ms"] > late_ms]
    running = desk.reader.trades(signal_ids=late, status=("PENDING", "OPEN"), columns=["signal_id"])
    running_ids = set(running["signal_id"].tolist())
    for row in new:
        signal = signals.get(row["signal_id"])
        if signal is None:
            continue  # said when it is its turn
        until_ms = muted.get((signal["exchange"], signal["symbol"]))
        if until_ms is not None:
            found.append((row, f"muted until {format_ms(until_ms)}"))
        elif at_ms - signal["decided_ms"] <= late_ms:
            continue
        elif signal["valid_until_ms"] <= at_ms:
            found.append((row, f"too late: its order was valid until {format_ms(signal['valid_until_ms'])}"))
        elif signal["id"] not in running_ids:
            found.append((row, "too late: its trade is over"))
    return found


def compose(
    desk: Desk, firsts: Mapping[int, str], letter: Sequence[Row], at_ms: int
) -> tuple[Message | None, str | None]:
    """Return the message of a letter, or None and why there is nothing to say.

    Parameters
    ----------
    desk : Desk
    firsts : mapping of int to str
        By signal, the remote id of the message that announced it on this channel; ``""`` where that was refused.
    letter : sequence of mapping
        Rows of the outbox that leave together.
    at_ms : int
        Market time.
    """
    config = desk.config
    moment = Moment(at_ms, config.app.timezone, desk.market.synthetic, config.notify.late_minutes * MINUTE_MS)
    row = letter[0]
    if row["kind"] in (NOTE, ANSWER):
        return _spoken(row, moment), None
    if row["kind"] == EVENT:
        return _reply(desk, firsts, row, moment)
    signals = desk.reader.signals(ids=[item["signal_id"] for item in letter])
    found = {signal["id"]: signal for signal in records(signals)}
    chosen = [found[item["signal_id"]] for item in letter if item["signal_id"] in found]
    if not chosen:
        return None, "its signal is no longer stored"
    if len(letter) > 1:
        return _message(digest_words(chosen, moment)), None
    judged = judged_lines_of(desk, signals[signals["id"] == chosen[0]["id"]])
    return _message(signal_words(chosen[0], moment, _newest_price(desk, chosen[0]), judged)), None


def records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a frame."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _spoken(row: Row, moment: Moment) -> Message:
    """Return a note of the engine, or an answer, whose words are kept as they were said."""
    said = json.loads(row["payload"])
    if row["kind"] == ANSWER:
        return Message(said["html"], to_plain(said["html"]), said["reply_to"] or None, chat=said["chat"])
    words = note_words(said["text"], moment)
    return Message(words, to_plain(words), document=said.get("document", ""))


def _reply(desk: Desk, firsts: Mapping[int, str], row: Row, moment: Moment) -> tuple[Message | None, str | None]:
    """Return what became of a signal, as an answer to the message that announced it."""
    signal_id, exit_policy = row["signal_id"], row["exit_policy"]
    if signal_id not in firsts and desk.config.notify.telegram.send_on.new_signal:
        return None, "its signal was never announced here"
    seq = json.loads(row["payload"])["seq"]
    signals = desk.reader.signals(ids=[signal_id])
    trades = desk.reader.trades(signal_ids=[signal_id], exit_policy=exit_policy)
    events = desk.reader.events(signal_id=signal_id, exit_policy=exit_policy)
    this = events[events["seq"] == seq]
    if signals.empty or trades.empty or this.empty:
        return None, "its trade is no longer stored"
    hit = int(((events["kind"] == "TARGET") & (events["seq"] <= seq)).sum())
    words = event_words(records(this)[0], records(trades)[0], records(signals)[0], moment, hit)
    return _message(words, firsts.get(signal_id) or None), None


def _newest_price(desk: Desk, signal: Row) -> Quote | None:
    base = desk.config.data.base_timeframe
    candles = desk.reader.last_candles(signal["exchange"], signal["symbol"], base, 1)
    if not len(candles):
        return None
    return Quote(float(candles.close[-1]), int(candles.ts[-1]) + timeframe_ms(base))


def _message(words: str, reply_to: str | None = None) -> Message:
    return Message(html=words, plain=to_plain(words), reply_to=reply_to)
