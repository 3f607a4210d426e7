"""Job `alert`: deliver what the outbox holds.

The law: at least once, in order, each alert marked as sent in its own commit as soon as its delivery is
answered. A channel that cannot be reached keeps its alerts and delays no other channel; what is
delivered late says so. The words are made at sending, from stored rows, so that the price is fresh.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd

from core.clock import MINUTE_MS, timeframe_ms
from core.errors import CredentialsError, NotifierError, NotifierUnavailable
from core.jobs._announce import EVENT, NEW_SIGNAL, NOTE
from core.jobs._desk import Desk, Report
from core.jobs.why import judged_lines_of
from core.ports import Message, Notifier
from core.results.explain import Moment, Quote, digest_words, event_words, note_words, signal_words, to_plain

__all__ = ["DIGEST_OVER", "DIGEST_SIZE", "run"]

DIGEST_OVER = 10
"""New signals waiting for one channel above which they leave as digests."""

DIGEST_SIZE = 20
"""Most signals in one digest: what fits into a message of 4096 characters."""

QUEUED, SENT, FAILED, SKIPPED = "queued", "sent", "failed", "skipped"

_FIRST_WAIT_MS = 5_000
_LONGEST_WAIT_MS = 5 * MINUTE_MS

Row = Mapping[str, Any]


@dataclass(slots=True)
class _Delivery:
    """One channel's run: whom it tells, what was announced there before, and what came of it."""

    channel: str
    notifier: Notifier
    firsts: dict[int, str]  # signal id -> remote id of the message that announced it; "" where that was refused
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    needs_a_person: bool = False


async def run(desk: Desk, now_ms: int) -> Report:
    """Deliver what is due, every channel on its own.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Counts of alerts sent, failed (refused for good), skipped (their signal was never announced) and
        waiting. Not ok when an alert was refused or the credentials were.
    """
    queued = desk.reader.outbox(state=QUEUED)
    told = queued[queued["channel"].isin(list(desk.notifiers))]
    if told.empty:
        return Report("alert")
    firsts = _first_messages(desk, told)
    deliveries = []
    work = []
    for channel, rows in told.sort_values("id").groupby("channel", sort=True):
        delivery = _Delivery(str(channel), desk.notifiers[str(channel)], firsts.get(str(channel), {}))
        deliveries.append(delivery)
        work.append(_deliver(desk, delivery, _records(rows), now_ms))
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome  # only after every other channel had its turn
    counts = sum((delivery.counts for delivery in deliveries), Counter())
    return Report(
        "alert",
        ok=not any(delivery.needs_a_person for delivery in deliveries),
        counts=dict(sorted(counts.items())),
        problems=tuple(line for delivery in deliveries for line in delivery.problems),
    )


async def _deliver(desk: Desk, delivery: _Delivery, rows: list[Row], now_ms: int) -> None:
    """Send one channel's alerts in order, up to the first that has to wait: a reply never precedes its signal."""
    left = len(rows)
    for letter in _letters(rows):
        at_ms = max(
            now_ms, desk.market.now_ms()
        )  # a paced run takes its time, and pauses count from when they are asked for
        if letter[0]["next_try_ms"] > at_ms:
            break
        if not await _deliver_one(desk, delivery, letter, at_ms):
            break
        left -= len(letter)
    delivery.counts["waiting"] += left


async def _deliver_one(desk: Desk, delivery: _Delivery, letter: list[Row], at_ms: int) -> bool:
    """Send one message and mark its rows; return False when the channel has to wait."""
    message, refusal = _compose(desk, delivery, letter, at_ms)
    if message is None:
        _mark(desk, delivery, letter, SKIPPED, at_ms, error=refusal)
        return True
    try:
        remote_id = await delivery.notifier.send(message)
    except (NotifierUnavailable, CredentialsError) as error:
        _mark(desk, delivery, letter, QUEUED, at_ms, error=str(error), next_try_ms=at_ms + _wait_ms(letter[0], error))
        delivery.problems.append(f"{delivery.channel}: {error}")
        delivery.needs_a_person |= isinstance(error, CredentialsError)
        return False
    except NotifierError as error:
        _mark(desk, delivery, letter, FAILED, at_ms, error=str(error))
        delivery.problems.append(f"{delivery.channel}: alert {letter[0]['key']} was refused: {error}")
        delivery.needs_a_person = True
        remote_id = ""
    else:
        _mark(desk, delivery, letter, SENT, at_ms, remote_id=remote_id)
    delivery.firsts.update({row["signal_id"]: remote_id for row in letter if row["kind"] == NEW_SIGNAL})
    return True


def _letters(rows: list[Row]) -> list[list[Row]]:
    """Group alerts into messages, in order: one each, but a burst of new signals into digests of even size."""
    new = [row for row in rows if row["kind"] == NEW_SIGNAL]
    if len(new) <= DIGEST_OVER:
        return [[row] for row in rows]
    pieces = math.ceil(len(new) / DIGEST_SIZE)
    bounds = [round(piece * len(new) / pieces) for piece in range(pieces + 1)]
    digests = [new[lo:hi] for lo, hi in pairwise(bounds)]
    first = rows.index(new[0])
    before, after = rows[:first], [row for row in rows[first:] if row["kind"] != NEW_SIGNAL]
    return [[row] for row in before] + digests + [[row] for row in after]


def _mark(
    desk: Desk,
    delivery: _Delivery,
    letter: list[Row],
    state: str,
    at_ms: int,
    remote_id: str | None = None,
    error: str | None = None,
    next_try_ms: int | None = None,
) -> None:
    """Commit what became of a message, for all its rows at once."""
    with desk.writer.transaction():
        for row in letter:
            desk.writer.mark_outbox(
                int(row["id"]), state, at_ms, remote_id=remote_id, error=error, next_try_ms=next_try_ms
            )
    if state != QUEUED:
        delivery.counts[state] += len(letter)


def _wait_ms(row: Row, error: NotifierUnavailable | CredentialsError) -> int:
    """Return how long to leave the channel alone: as it asked, else longer each time, up to five minutes."""
    if isinstance(error, CredentialsError):
        return _LONGEST_WAIT_MS  # a person has to mend it; the alerts wait for that
    if error.retry_after_s is not None:
        return math.ceil(error.retry_after_s * 1000)
    doubled: int = _FIRST_WAIT_MS << min(int(row["tries"]), 10)
    return min(_LONGEST_WAIT_MS, doubled)


def _first_messages(desk: Desk, told: pd.DataFrame) -> dict[str, dict[int, str]]:
    """Return, per channel, the remote id of the message that announced each signal something is told about."""
    firsts: dict[str, dict[int, str]] = {}
    about = sorted(set(told.loc[told["kind"] == EVENT, "signal_id"].tolist()))
    if about:
        known = desk.reader.outbox(signal_ids=about)
        for row in _records(known[(known["kind"] == NEW_SIGNAL) & (known["state"] != QUEUED)]):
            firsts.setdefault(row["channel"], {})[row["signal_id"]] = row["remote_id"]
    return firsts


def _compose(desk: Desk, delivery: _Delivery, letter: list[Row], at_ms: int) -> tuple[Message | None, str | None]:
    """Return the message of a letter, or None and why there is nothing to say."""
    config = desk.config
    moment = Moment(at_ms, config.app.timezone, desk.market.synthetic, config.notify.late_minutes * MINUTE_MS)
    row = letter[0]
    if row["kind"] == NOTE:
        return _message(note_words(json.loads(row["payload"])["text"], moment)), None
    if row["kind"] == EVENT:
        return _reply(desk, delivery, row, moment)
    signals = desk.reader.signals(ids=[item["signal_id"] for item in letter])
    found = {signal["id"]: signal for signal in _records(signals)}
    chosen = [found[item["signal_id"]] for item in letter if item["signal_id"] in found]
    if not chosen:
        return None, "its signal is no longer stored"
    if len(letter) > 1:
        return _message(digest_words(chosen, moment)), None
    judged = judged_lines_of(desk, signals[signals["id"] == chosen[0]["id"]])
    return _message(signal_words(chosen[0], moment, _newest_price(desk, chosen[0]), judged)), None


def _reply(desk: Desk, delivery: _Delivery, row: Row, moment: Moment) -> tuple[Message | None, str | None]:
    """Return what became of a signal, as an answer to the message that announced it."""
    signal_id, exit_policy = row["signal_id"], row["exit_policy"]
    if signal_id not in delivery.firsts and desk.config.notify.telegram.send_on.new_signal:
        return None, "its signal was never announced here"
    seq = json.loads(row["payload"])["seq"]
    signals = desk.reader.signals(ids=[signal_id])
    trades = desk.reader.trades(signal_ids=[signal_id], exit_policy=exit_policy)
    events = desk.reader.events(signal_id=signal_id, exit_policy=exit_policy)
    this = events[events["seq"] == seq]
    if signals.empty or trades.empty or this.empty:
        return None, "its trade is no longer stored"
    hit = int(((events["kind"] == "TARGET") & (events["seq"] <= seq)).sum())
    words = event_words(_records(this)[0], _records(trades)[0], _records(signals)[0], moment, hit)
    return _message(words, delivery.firsts.get(signal_id) or None), None


def _newest_price(desk: Desk, signal: Row) -> Quote | None:
    base = desk.config.data.base_timeframe
    candles = desk.reader.last_candles(signal["exchange"], signal["symbol"], base, 1)
    if not len(candles):
        return None
    return Quote(float(candles.close[-1]), int(candles.ts[-1]) + timeframe_ms(base))


def _message(words: str, reply_to: str | None = None) -> Message:
    return Message(html=words, plain=to_plain(words), reply_to=reply_to)


def _records(frame: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
